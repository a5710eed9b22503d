"""Pipelines for tests: the shapes of real descriptors, trimmed, and some that are bent on purpose."""

from __future__ import annotations

from vipsync.cases.descriptor import parse_descriptor
from vipsync.model import Descriptor

Raw = dict[str, object]

_TYPES: dict[str, Raw] = {
    "File": {"type": "File"},
    "String": {"type": "String"},
    "Flag": {"type": "Flag", "optional": True},
    "Int": {"type": "Number", "integer": True},
    "Double": {"type": "Number"},
    "Files": {"type": "File", "list": True},
}


def pipeline(name: str, inputs: str, outputs: str = "", **custom: object) -> Descriptor:
    """Make a descriptor of `"id:Type id:Type"` and `"id=template id=template"`.

    The value-key of an input is its id in brackets. `?` after a type makes it optional.
    """
    return parse_descriptor(
        {
            "name": name,
            "tool-version": "1",
            "inputs": [_input(*word.split(":")) for word in inputs.split()],
            "output-files": [
                {"id": word.split("=")[0], "path-template": word.split("=")[1]}
                for word in outputs.split()
            ],
            "custom": {f"vip:{key}": value for key, value in custom.items()},
        },
        f"{name}/1",
    )


def _input(id_: str, kind: str) -> Raw:
    optional = {"optional": True} if kind.endswith("?") else {}
    return {"id": id_, "value-key": f"[{id_}]", **_TYPES[kind.rstrip("?")], **optional}


CQUEST = pipeline(
    "CQUEST",
    "parameter_file:File data_file:File zipped_folder:File",
    "output_file=[data_file]--[parameter_file].tgz",
)

LCMODEL = pipeline(
    "LCModel",
    "signal_file:File control_file:File makebasis_file:File zipped_folder:File",
    "output_file=[signal_file]--[control_file].tgz pdf_file=[signal_file]--[control_file].pdf",
)

SIMUBLOCH = pipeline(
    "SimuBloch",
    "T1:File T2:File M0:File TR:String TE:String",
    "result=[T1]-[TR]-[TE]-simu.nii.gz",
    dot=["T1", "T2", "M0"],
)

FIVE = pipeline(
    "Bruker-preproc",
    "acqp:File fid:File method:File rawjob0:File refscan:File outname:String",
    "mrui=[outname].mrui",
)

FREESURFER = parse_descriptor(
    {
        "name": "FreeSurfer-Recon-all",
        "tool-version": "7.3.1",
        "inputs": [
            {"id": "license", "type": "File", "value-key": "[LICENSE_FILE]", "optional": False},
            {"id": "subjid", "type": "String", "value-key": "[SUBJID]", "optional": False},
            {"id": "nifti", "type": "File", "value-key": "[NIFTI]", "optional": False},
            {
                "id": "directives",
                "type": "String",
                "value-key": "[DIRECTIVES]",
                "optional": False,
                "default-value": "-all",
                "value-choices": ["-all", "-autorecon1", "-autorecon2", "-autorecon3"],
            },
            {"id": "3T_flag", "type": "Flag", "value-key": "[3T]", "optional": True},
        ],
        "output-files": [{"id": "subjid_output", "path-template": "[SUBJID].tgz"}],
        "custom": {
            "vip:directoryInputs": {"nifti": {"patterns": ["*.nii", "*.nii.gz"]}},
            "vip:dot": ["nifti", "subjid"],
        },
    },
    "FreeSurfer-Recon-all/7.3.1",
)

GATE = parse_descriptor(
    {
        "name": "GATE",
        "tool-version": "9.4.1",
        "inputs": [
            {"id": "gateInput", "type": "File", "value-key": "[INPUT]"},
            {
                "id": "numberOfJobs",
                "type": "Number",
                "integer": True,
                "value-key": "[NBJOBS]",
                "value-choices": [1, 10, 100, 500],
            },
            {"id": "jobNumber", "type": "Number", "integer": True, "value-key": "[JOBNB]"},
            {"id": "macfileName", "type": "String", "value-key": "[MACFILE]"},
        ],
        "output-files": [{"id": "out_tarball", "path-template": "output-[JOBNB].tar.gz"}],
        "custom": {
            "vip:intIteratorInputs": ["jobNumber"],
            "vip:overriddenInputs": {"jobNumber": "numberOfJobs"},
        },
    },
    "GATE/9.4.1",
)
