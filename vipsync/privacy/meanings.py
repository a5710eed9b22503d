"""What a field means, by the name that a format or a table gives it.

A field that means the same in several formats has one name, the one of DICOM: one line in the
settings accepts it in all of them. Pure: no os, time, random, httpx, sqlite3 or logging.
"""

from __future__ import annotations

import re
from functools import lru_cache

from vipsync.privacy.findings import Layer

_MOST = 100  # characters of a name
_NAMES = {
    "PatientName": """
        patientname patientsname tpatientname tpatientsname nameofpatient patname patient
        patientfullname subjectname subjectnamestring visusubjectname participantname fullname
        firstname lastname surname familyname forename givenname maidenname middlename
    """,
    "PatientID": """
        patientid tpatientid patid subjectid subjectpatientid visusubjectid subjectregistration
        patientregistrationid medicalrecordnumber mrn nhsnumber socialsecuritynumber ssn
        hospitalnumber hospitalid otherpatientids issuerofpatientid
    """,
    "PatientBirthDate": """
        patientbirthdate patientbirthday patientsbirthdate tpatientbirthdate patientdob
        patientdateofbirth dob birthdate birthday dateofbirth subjectdbirth subjectbirthdate
        visusubjectbirthdate patientbirthtime
    """,
    "AccessionNumber": "accession accessionnumber accessionno",
    "ReferringPhysicianName": "referringphysician referringphysicianname subjectreferral",
    "examination_name": "examinationname",
    "OriginalFile": "originalfile",
}
_TITLES = {name: field for field, names in _NAMES.items() for name in names.split()}
_TELLING = re.compile(
    r"physician|radiologist|(?<!p)referr(ing|al|er)|comment|remark|additionalinfo|accession|address"
    r"|telephone|mobilephone|^phone|phonenumber|telecom|email|patient.*(name|birth|history)"
    r"|birth(date|name|day)|surname|^private|recordlocator|admissionid|episodeid|ordernumber"
    r"|^(acq|exam|visu|subject|visuacq)?operators?(name|initials|id)?$"
)
_GROUPS = (
    ("dates", re.compile(r"(?<!up)(?<!vali)(?<!candi)date|time$")),
    ("UIDs", re.compile(r"uid$|loid$")),
    (
        "",
        re.compile(
            r"institution|hospital|station|serial|sex$|gender|patient.*(age|weight|size)|descrip"
            r"|protocolname|department|study|scanid|software|^site|datasetname|filename|path"
        ),
    ),
)
"""What is told; the many dates and identifiers of objects have one name together."""


@lru_cache(maxsize=1 << 12)
def meaning(name: str) -> tuple[Layer, str] | None:
    """Return the layer of a field, and what it is called here; None where it says nothing of anybody."""
    letters = "".join(c for c in name[:_MOST].casefold() if c.isalpha())
    if title := _TITLES.get(letters):
        return Layer.FIELD, title
    if "institution" not in letters and _TELLING.search(letters):
        return Layer.FIELD, name.strip()
    for group, pattern in _GROUPS:
        if pattern.search(letters):
            return Layer.TOLD, group or name.strip()
    return None
