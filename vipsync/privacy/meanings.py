"""What a field means, by the name that a format or a table gives it.

A field that means the same in several formats has one name, the one of DICOM: one line in the
settings accepts it in all of them. Pure: no os, time, random, httpx, sqlite3 or logging.
"""

from __future__ import annotations

import re
from functools import lru_cache

from vipsync.privacy.findings import Layer

_NAMES = {
    "PatientName": """
        patientname patientsname tpatientname tpatientsname nameofpatient patname patnameff patient
        patientfullname subjectname subjectnamestring visusubjectname participantname fullname
        firstname lastname surname familyname forename givenname maidenname middlename name
    """,
    "PatientID": """
        patientid tpatientid patid patidff subjectid subjectpatientid visusubjectid visusubjectinstanceid
        patientregistrationid medicalrecordnumber mrn nhsnumber socialsecuritynumber ssn
        hospitalnumber hospitalid otherpatientids issuerofpatientid
    """,
    "PatientBirthDate": """
        patientbirthdate patientbirthday patientsbirthdate tpatientbirthdate patientdob patientdateofbirth
        dob dobs birthdate birthday dateofbirth subjectdbirth subjectbirthdate visusubjectbirthdate
        birthtime patientbirthtime
    """,
    "AccessionNumber": "accession accessionnumber accessionno reqnum exno2",
    "ReferringPhysicianName": "referringphysician referringphysicianname refphy subjectreferral",
    "OperatorsName": "operator operators operatorname operatorsname operatorinitials owner",
    "examination_name": "examinationname",
}
_TITLES = {name: field for field, names in _NAMES.items() for name in names.split()}
_TELLING = re.compile(
    r"physician|radiologist|operator|referr|comment|remark|accession|address|phone|telecom|email"
    r"|patient.*(name|birth)|birth.?(date|name|day)|surname"
)
_TOLD = re.compile(
    r"institution|hospital|station|serial|date|time$|uid$|loid$|sex$|gender|patient.*(age|weight|size)"
    r"|descrip|protocolname|department|study|scanid|tester|software|sernum|site"
)


@lru_cache(maxsize=1 << 12)
def meaning(name: str) -> tuple[Layer, str] | None:
    """Return the layer of a field, and what it is called here; None where it says nothing of anybody."""
    letters = "".join(c for c in name.casefold() if c.isalpha())
    if title := _TITLES.get(letters):
        return Layer.FIELD, title
    if "institution" not in letters and _TELLING.search(letters):
        return Layer.FIELD, name.strip()
    return (Layer.TOLD, name.strip()) if _TOLD.search(letters) else None
