"""Pipelines for tests: the shapes of real descriptors, trimmed, and some that are bent on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vipsync.cases.descriptor import parse_descriptor
from vipsync.model import Descriptor

Raw = dict[str, Any]

_TYPES: dict[str, Raw] = {
    "File": {"type": "File"},
    "String": {"type": "String"},
    "Flag": {"type": "Flag"},
    "Int": {"type": "Number", "integer": True},
    "Double": {"type": "Number"},
    "Files": {"type": "File", "list": True},
}


def written(
    name: str, inputs: str, outputs: str = "", also: Mapping[str, Raw] | None = None, **custom: Any
) -> Raw:
    """Write the descriptor of `name/version` (1 by default), `"id:Type id:Type"`, `"id=template"`.

    The value-key of an input is its id in brackets. `?` after a type makes it optional, as a Flag
    always is; `also` has more fields of an input, by its id.
    """
    name, _, version = name.partition("/")
    described = [_input(also or {}, *word.split(":")) for word in inputs.split()]
    return {
        "name": name,
        "tool-version": version or "1",
        "description": "For tests",
        "schema-version": "0.5",
        "command-line": " ".join([name, *(entry["value-key"] for entry in described)]),
        "inputs": described,
        "output-files": [
            {"id": id_, "name": id_, "path-template": template}
            for id_, template in (word.split("=") for word in outputs.split())
        ],
        "custom": {f"vip:{key}": value for key, value in custom.items()},
    }


def pipeline(name: str, inputs: str, outputs: str = "", **more: Any) -> Descriptor:
    """Make a descriptor as vipsync reads it from what is `written`."""
    raw = written(name, inputs, outputs, **more)
    return parse_descriptor(raw, f"{raw['name']}/{raw['tool-version']}")


def _input(also: Mapping[str, Raw], id_: str, kind: str) -> Raw:
    optional = {"optional": True} if kind.endswith("?") or kind == "Flag" else {}
    made = {"id": id_, "name": id_, "value-key": f"[{id_}]", **_TYPES[kind.rstrip("?")]}
    return made | optional | also.get(id_, {})


SPECTRUM = written("spectrum", "signal:File parameters:File?", "fit=[signal].tgz")
"""One archive for each signal."""

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

FREESURFER = pipeline(
    "FreeSurfer-Recon-all/7.3.1",
    "license:File subjid:String nifti:File directives:String 3T_flag:Flag",
    "subjid_output=[subjid].tgz",
    also={
        "directives": {
            "default-value": "-all",
            "value-choices": ["-all", "-autorecon1", "-autorecon2", "-autorecon3"],
        }
    },
    directoryInputs={"nifti": {"patterns": ["*.nii", "*.nii.gz"]}},
    dot=["nifti", "subjid"],
)

GATE = pipeline(
    "GATE/9.4.1",
    "gateInput:File numberOfJobs:Int jobNumber:Int macfileName:String",
    "out_tarball=output-[jobNumber].tar.gz",
    also={"numberOfJobs": {"value-choices": [1, 10, 100, 500]}},
    intIteratorInputs=["jobNumber"],
    overriddenInputs={"jobNumber": "numberOfJobs"},
)
