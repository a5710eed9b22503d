"""From files to cases: one table of named cases, then what a table can't show."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.lab.pipelines import CQUEST, FIVE, FREESURFER, GATE, LCMODEL, SIMUBLOCH, pipeline
from vipsync.cases.finding import find_cases
from vipsync.errors import SettingsError
from vipsync.model import (
    Case,
    CaseSet,
    Descriptor,
    FileSetting,
    InputFile,
    InputFolder,
    InputSetting,
    InputsSettings,
    InputValue,
    PackedFolder,
    PackKind,
    PackSetting,
    RelPath,
    Settings,
    Text,
)

ONE = pipeline("One", "data:File", "out=[data].tgz")
TWO = pipeline("Two", "a:File b:File", "out=[a].tgz")
MIXED = pipeline("Mixed", "data:File n:Int? x:Double? flag:Flag? word:String?", "out=[data].tgz")
PAIRED = pipeline(
    "Paired", "a:File b:File c:File? word:String?", "out=[a].tgz", dot=["a", "b", "word"]
)
LISTED = pipeline("Listed", "data:Files", "out=[data].tgz")
FOLDERS = pipeline(
    "Folders",
    "data:File word:String?",
    "out=[data].tgz",
    directoryInputs={"data": {"patterns": ["*.nii"]}},
)
SAME = pipeline(
    "Same", "data:File", "out=fixed.tgz", directoryInputs={"data": {"patterns": ["*.nii"]}}
)

CQUEST_SHARED: dict[str, InputSetting] = {
    "parameter_file": "parameters.txt",
    "zipped_folder": "basis.zip",
}
SIMU: dict[str, InputSetting] = {"TR": 500, "TE": 20}
DEFAULT = InputsSettings()
MR = "/vip/MR Spectroscopy (group)/INPUT"


@dataclass(frozen=True)
class Row:
    """One named case of the table.

    `expect` maps the id of each case to "" (complete), to "waits for …" or "error …" (a part of
    the words), or to the values that it must have, written as text.
    """

    name: str
    app: Descriptor
    settings: Mapping[str, InputSetting]
    files: list[str]
    expect: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    inputs: InputsSettings = DEFAULT
    unused: Mapping[str, str] | None = None
    warning: str = ""


@dataclass(frozen=True)
class Refusal:
    """Settings that are refused, with a part of the words that say so."""

    name: str
    app: Descriptor
    settings: Mapping[str, InputSetting]
    hint: str
    inputs: InputsSettings = DEFAULT


# fmt: off
ROWS = [
    # one file, one case
    Row("files in full are one case", TWO, {"a": "x.nii", "b": "y.nii"}, ["x.nii", "y.nii"], {"x.nii": {"a": "x.nii", "b": "y.nii"}}),
    Row("a file in full that is absent is waited for", TWO, {"a": "x.nii", "b": "y.nii"}, ["x.nii"], {"x.nii": "waits for y.nii"}),
    Row("without any file the case waits for all", TWO, {"a": "x.nii", "b": "d/y.nii"}, [], {"x.nii": "waits for x.nii, d/y.nii"}),
    Row("a file in full is seen in any case", ONE, {"data": "x.nii"}, ["X.NII"], {"x.nii": {"data": "X.NII"}}),
    Row("a file as written comes before one in another case", ONE, {"data": "x.nii"}, ["X.nii", "x.nii"], {"x.nii": {"data": "x.nii"}}),
    Row("two files that fit only but for their case are told", ONE, {"data": "x.nii"}, ["X.nii", "x.NII"], {"x.nii": "error X.nii and x.NII both match"}),
    Row("an ignored file named in full is seen", ONE, {"data": "x.tmp"}, [], {"x.tmp": {"data": "x.tmp"}}, ignored=("x.tmp",)),
    Row("an ignored file is not matched by a pattern", ONE, {"data": "*"}, ["a"], {"a": ""}, ignored=("x.tmp",)),
    Row("only what is on VIP is one case called all", ONE, {"data": "/vip/Home/x.nii"}, [], {"all": {"data": "/vip/Home/x.nii"}}),
    Row("a local path that begins like VIP's is local", ONE, {"data": "vip/x.nii"}, ["vip/x.nii"], {"vip/x.nii": ""}),
    Row("settings in NFD find files in NFC", ONE, {"data": "e\u0301.nii"}, ["\u00e9.nii"], {"\u00e9.nii": {"data": "\u00e9.nii"}}),
    # one pattern
    Row("each match of a star is a case", ONE, {"data": "signals/*.mrui"}, ["signals/1.mrui", "signals/2.mrui", "signals/2.txt"], {"signals/1.mrui": "", "signals/2.mrui": ""}),
    Row("a pattern without match makes no case", ONE, {"data": "*.mrui"}, ["a.txt"], {}, warning="no file matches *.mrui"),
    Row("a question mark varies", ONE, {"data": "?.nii"}, ["a.nii", "bb.nii"], {"a.nii": ""}),
    Row("brackets vary", ONE, {"data": "[ab].nii"}, ["a.nii", "c.nii"], {"a.nii": ""}),
    Row("two stars go through folders", ONE, {"data": "**/T1.nii"}, ["T1.nii", "a/b/T1.nii"], {"T1.nii": "", "a/b/T1.nii": ""}),
    Row("an escaped bracket is itself", ONE, {"data": "a[[]1].nii"}, ["a[1].nii", "a1.nii"], {"a[1].nii": ""}),
    Row("an escaped brace is itself", ONE, {"data": "{{a}}.nii"}, ["{a}.nii", "b.nii"], {"{a}.nii": ""}),
    Row("a list of one pattern is that pattern", ONE, {"data": ("*.nii",)}, ["a.nii", "b.nii"], {"a.nii": "", "b.nii": ""}),
    Row("a parameter of files in a list takes patterns too", LISTED, {"data": "*.nii"}, ["a.nii", "b.nii"], {"a.nii": "", "b.nii": ""}),
    Row("a star in a parameter that is no file is only a character", MIXED, {"data": "*.nii", "word": "a?"}, ["1.nii"], {"1.nii": {"word": "a?"}}),
    # real pipelines
    Row("CQUEST: one case per signal", CQUEST, CQUEST_SHARED | {"data_file": "signals/*.mrui"}, ["parameters.txt", "basis.zip", "signals/001.mrui", "signals/002.mrui"], {f"signals/00{n}.mrui": {"data_file": f"signals/00{n}.mrui", "parameter_file": "parameters.txt", "zipped_folder": "basis.zip"} for n in (1, 2)}),
    Row("CQUEST: all cases wait for a shared file", CQUEST, CQUEST_SHARED | {"data_file": "signals/*.mrui"}, ["parameters.txt", "signals/001.mrui", "signals/002.mrui"], {"signals/001.mrui": "waits for basis.zip", "signals/002.mrui": "waits for basis.zip"}),
    Row("LCModel: signals in any case, references on VIP", LCMODEL, {"signal_file": "dataset/*.RAW", "control_file": f"{MR}/fit_3T_VIP.control", "makebasis_file": f"{MR}/makeBasis_3T_VIP.in", "zipped_folder": f"{MR}/basis.zip"}, ["dataset/Rec001.raw", "dataset/Rec002.RAW"], {"dataset/Rec001.raw": {"signal_file": "dataset/Rec001.raw", "zipped_folder": f"{MR}/basis.zip"}, "dataset/Rec002.RAW": ""}),
    Row("FreeSurfer: names reach a parameter that is no file", FREESURFER, {"license": "license.txt", "nifti": "{subject}/{session}/anat/{scan}_T1w.nii.gz", "subjid": "{scan}"}, ["license.txt", "sub-1/ses-1/anat/sub-1_ses-1_T1w.nii.gz"], {"sub-1/ses-1/sub-1_ses-1": {"subjid": "sub-1_ses-1", "license": "license.txt"}}),
    Row("SimuBloch: a case with two of its three files waits", SIMUBLOCH, SIMU | {"T1": "{s}/T1.nii", "T2": "{s}/T2.nii", "M0": "{s}/M0.nii"}, ["1/T1.nii", "1/T2.nii", "1/M0.nii", "2/T1.nii", "2/M0.nii"], {"1": {"T2": "1/T2.nii", "TR": "500"}, "2": "waits for 2/T2.nii"}),
    Row("five inputs without vip:dot go together by name", FIVE, {n: f"{{scan}}/{f}" for n, f in zip(["acqp", "fid", "method", "rawjob0", "refscan"], ["acqp", "fid", "method", "rawdata.job0", "fid.refscan"], strict=True)} | {"outname": "{scan}"}, [f"{s}/{f}" for s in "123" for f in ("acqp", "fid", "method", "rawdata.job0", "fid.refscan")], {"1": {"fid": "1/fid", "outname": "1"}, "2": "", "3": {"refscan": "3/fid.refscan"}}),
    Row("GATE: what VIP copies into hidden inputs is no matter of settings", GATE, {"gateInput": "in.zip", "numberOfJobs": 100, "macfileName": "main.mac"}, ["in.zip"], {"in.zip": {"numberOfJobs": "100"}}),
    # names
    Row("a name is the same text in every setting", TWO, {"a": "{s}/a", "b": "b/{s}"}, ["1/a", "2/a", "b/1", "b/2"], {"1": {"a": "1/a", "b": "b/1"}, "2": {"a": "2/a", "b": "b/2"}}),
    Row("the same name with other capitals is another text", TWO, {"a": "{s}/a", "b": "{s}/b"}, ["S1/a", "s1/b"], {"S1": "waits for S1/b", "s1": "waits for s1/a"}),
    Row("a name that stands twice in one pattern", ONE, {"data": "{s}/{s}.nii"}, ["1/1.nii", "1/2.nii"], {"1": ""}),
    Row("names make ids in order of first appearance", TWO, {"a": "{x}/{y}.a", "b": "{y}/{x}.b"}, ["1/2.a", "2/1.b"], {"1/2": ""}),
    Row("a file with fewer names belongs to several cases", TWO, {"a": "{s}/T1", "b": "{s}/{t}/bold"}, ["1/T1", "1/x/bold", "1/y/bold"], {"1/x": {"a": "1/T1"}, "1/y": {"a": "1/T1", "b": "1/y/bold"}}),
    Row("a file that finds no partner makes a case that waits", TWO, {"a": "{s}/T1", "b": "{s}/{t}/bold"}, ["1/T1", "1/x/bold", "2/T1"], {"1/x": "", "2/{t}": "waits for 2/{t}/bold"}),
    Row("a chain of names is followed", pipeline("Chain", "a:File b:File c:File", ""), {"a": "{x}.a", "b": "{x}-{y}.b", "c": "{y}.c"}, ["1.a", "1-2.b", "2.c", "3.c"], {"1/2": "", "{x}/3": "waits for {x}.a, {x}-3.b"}),
    Row("different names are crossed", TWO, {"a": "{x}.a", "b": "{y}.b"}, ["1.a", "2.a", "3.b", "4.b"], {"1/3": "", "1/4": "", "2/3": "", "2/4": ""}),
    Row("where one of the crossed is missing, all wait", TWO, {"a": "{x}.a", "b": "{y}.b"}, ["1.a", "2.a"], {"1/{y}": "waits for {y}.b", "2/{y}": "waits for {y}.b"}),
    Row("a name and a star: each match is a case", ONE, {"data": "{s}/*.nii"}, ["1/a.nii", "1/b.nii"], {"1/a.nii": "", "1/b.nii": ""}),
    Row("a star beside a name of another setting", TWO, {"a": "{s}/*.nii", "b": "{s}/m"}, ["1/a.nii", "1/b.nii", "1/m", "2/m"], {"1/a.nii": {"b": "1/m"}, "1/b.nii": "", "2/*.nii": "waits for 2/*.nii"}),
    Row("a star that does not know all names adds its path to them", TWO, {"a": "{s}.a", "b": "b/*"}, ["1.a", "b/x"], {"1 + b/x": ""}),
    Row("two stars are crossed, each path in the id", TWO, {"a": "a/*", "b": "b/*"}, ["a/1", "a/2", "b/3"], {"a/1 + b/3": "", "a/2 + b/3": ""}),
    Row("two spellings of a name's file: the one as written", ONE, {"data": "{s}/T1"}, ["1/T1", "1/t1", "2/t1"], {"1": {"data": "1/T1"}, "2": {"data": "2/t1"}}),
    Row("two wrong spellings of a name's file are told", ONE, {"data": "{s}/T1A"}, ["1/T1a", "1/t1A"], {"1": "error 1/T1a and 1/t1A both match"}),
    Row("a name reaches a number", MIXED, {"data": "{n}.nii", "n": "{n}"}, ["7.nii"], {"7": {"n": "7"}}),
    Row("a name that is no number stops its case", MIXED, {"data": "{n}.nii", "n": "{n}"}, ["7.nii", "x.nii"], {"7": "", "x": "error n: 'x' is not a whole number"}),
    Row("a name that VIP refuses stops its case", MIXED, {"data": "{s}.nii", "word": "{s}"}, ["été.nii", "b.nii"], {"b": "", "été": "error word: 'été' has 'é'"}),
    Row("a name with @@ stops its case", MIXED, {"data": "{s}.nii", "word": "p-{s}"}, ["a@@b.nii"], {"a@@b": "error @@"}),
    Row("a name makes a path on VIP", TWO, {"a": "{s}.a", "b": "/vip/Home/ref/{s}.b"}, ["1.a"], {"1": {"b": "/vip/Home/ref/1.b"}}),
    Row("a name with a space in a path on VIP stops its case", TWO, {"a": "{s}.a", "b": "/vip/Home/ref/{s}.b"}, ["1 2.a"], {"1 2": "error never start"}),
    # lists
    Row("each item of a list is a case", ONE, {"data": ("a.nii", "b.nii")}, ["a.nii", "b.nii"], {"a.nii": "", "b.nii": ""}),
    Row("an item that is absent is waited for alone", ONE, {"data": ("a.nii", "b.nii")}, ["b.nii"], {"a.nii": "waits for a.nii", "b.nii": ""}),
    Row("an item named twice is one case", ONE, {"data": ("a.nii", "a.nii")}, ["a.nii"], {"a.nii": ""}),
    Row("a list may hold patterns", ONE, {"data": ("x/*.nii", "y.nii")}, ["x/a.nii", "y.nii"], {"x/a.nii": "", "y.nii": ""}),
    Row("a list may hold names", ONE, {"data": ("{s}/a", "{s}/b")}, ["1/a", "1/b"], {"1/a": "", "1/b": ""}),
    Row("two lists are crossed", TWO, {"a": ("1", "2"), "b": ("3", "4")}, ["1", "2", "3", "4"], {"1 + 3": "", "1 + 4": "", "2 + 3": "", "2 + 4": ""}),
    Row("a list of words is crossed with files", MIXED, {"data": "*.nii", "n": (1, 2)}, ["a.nii"], {"a.nii + 1": {"n": "1"}, "a.nii + 2": {"n": "2"}}),
    Row("a list of words alone makes no case where files are missing", MIXED, {"data": "*.nii", "n": (1, 2)}, [], {}),
    Row("a list of files that are on VIP", ONE, {"data": ("/vip/Home/a", "/vip/Home/b")}, [], {"/vip/Home/a": "", "/vip/Home/b": ""}),
    Row("paired lists go together by index", PAIRED, {"a": ("1", "2"), "b": ("3", "4")}, ["1", "2", "3", "4"], {"1": {"b": "3"}, "2": {"b": "4"}}),
    Row("a list of words is paired with files", PAIRED, {"a": ("1", "2"), "b": "s", "word": ("x", "y")}, ["1", "2", "s"], {"1": {"word": "x", "b": "s"}, "2": {"word": "y"}}),
    Row("paired lists are told apart by the list that can", PAIRED, {"a": ("1", "1"), "b": "s", "word": ("x", "y")}, ["1", "s"], {"x": {"a": "1"}, "y": ""}),
    Row("paired lists may need all their words", PAIRED, {"a": ("1", "1", "2"), "b": "s", "word": ("x", "y", "x")}, ["1", "2", "s"], {"1 + x": "", "1 + y": "", "2 + x": ""}),
    Row("an item of paired lists that is absent", PAIRED, {"a": ("1", "2"), "b": ("3", "4")}, ["1", "2", "3"], {"1": "", "2": "waits for 4"}),
    Row("a paired list is crossed with what is not paired", PAIRED, {"a": ("1", "2"), "b": ("3", "4"), "c": ("5", "6")}, list("123456"), {"1 + 5": "", "1 + 6": "", "2 + 5": "", "2 + 6": ""}),
    Row("paired words wait with the files they belong to", PAIRED, {"a": ("{s}/a", "{s}/b"), "b": "{s}/m", "word": ("x", "y")}, ["1/a", "1/b", "1/m", "2/m"], {"1 + 1/a": {"word": "x"}, "1 + 1/b": {"word": "y"}, "2": "waits for 2/a"}),
    Row("one star under vip:dot goes with what does not vary", PAIRED, {"a": "a/*", "b": "s"}, ["a/1", "a/2", "s"], {"a/1": {"b": "s"}, "a/2": {"b": "s"}}),
    # as, folders, archives
    Row("as gives another name on VIP", ONE, {"data": FileSetting("{s}/press.mrui", "{s}.mrui")}, ["1/press.mrui"], {"1": {"data": "1/press.mrui as 1.mrui"}}),
    Row("as without what varies makes a clash that names the files", ONE, {"data": FileSetting("*.mrui", "x.mrui")}, ["1.mrui", "2.mrui"], {"1.mrui": "error 1.mrui and 2.mrui would both be x.mrui", "2.mrui": "error 1.mrui and 2.mrui"}),
    Row("a folder is one value", ONE, {"data": "dicom/"}, ["dicom/1", "dicom/a/2", "dicomx"], {"dicom/": {"data": "dicom/ of 2"}}),
    Row("a folder that is absent is waited for", ONE, {"data": "dicom/"}, ["dicom"], {"dicom/": "waits for dicom/"}),
    Row("a folder by name", ONE, {"data": "{s}/dicom/"}, ["1/dicom/1", "1/dicom/2", "2/dicom/1", "2/x"], {"1": {"data": "1/dicom/ of 2"}, "2": {"data": "2/dicom/ of 1"}}),
    Row("each folder of a star is a case", ONE, {"data": "*/"}, ["a/1", "b/c/2"], {"a": "", "b": ""}),
    Row("a folder is packed", ONE, {"data": PackSetting(PackKind.ZIP, "{s}/dicom/")}, ["1/dicom/1"], {"1": {"data": "zip 1/dicom of 1"}}),
    Row("a folder is packed without its slash, too", ONE, {"data": PackSetting(PackKind.TGZ, "d")}, ["d/1"], {"d/": {"data": "tgz d of 1"}}),
    Row("a folder is packed under another name", ONE, {"data": PackSetting(PackKind.ZIP, "{s}/dicom/", "{s}.zip")}, ["1/dicom/1"], {"1": {"data": "zip 1/dicom as 1.zip of 1"}}),
    Row("all of inputs/ is packed", ONE, {"data": PackSetting(PackKind.ZIP, "./", "study.zip")}, ["a/1", "2"], {"study": {"data": "zip ./ as study.zip of 2"}}, unused={}),
    Row("an empty inputs/ is waited for", ONE, {"data": PackSetting(PackKind.ZIP, "./", "study.zip")}, [], {"study": "waits for ./"}),
    Row("two archives under one name are told", ONE, {"data": PackSetting(PackKind.ZIP, "{s}/", "study.zip")}, ["a/1", "b/1"], {"a": "error a/ and b/ would both be study.zip", "b": "error a/ and b/"}),
    Row("two folders that pack to one name are told", ONE, {"data": PackSetting(PackKind.ZIP, "**/")}, ["a/b-c/1", "a-b/c/1"], {"a": "", "a-b": "", "a-b/c": "error a-b/c/ and a/b-c/ would both be a-b-c.zip", "a/b-c": "error a-b/c/ and a/b-c/"}),
    Row("a folder of which VIP takes the files one by one", FOLDERS, {"data": "{s}/"}, ["1/a.nii", "1/b.nii", "1/c/d.nii"], {"1": ""}),
    Row("a folder in which VIP would find nothing", FOLDERS, {"data": "{s}/"}, ["1/a.txt", "1/c/d.nii"], {"1": "error no file right inside 1/ fits *.nii"}),
    Row("a folder of more files than VIP takes jobs", FOLDERS, {"data": "d/"}, [f"d/{n}.nii" for n in range(1001)], {"d/": "error 1001 jobs"}),
    Row("a folder whose jobs would write one name", SAME, {"data": "d/"}, ["d/1.nii", "d/2.nii"], {"d/": "error the same fixed.tgz"}),
    Row("a folder of several scans can't be paired with one name", FREESURFER, {"license": "l", "nifti": "{s}/", "subjid": "{s}"}, ["l", "1/a.nii", "2/a.nii", "2/b.nii"], {"1": "", "2": "error unequal numbers of values: nifti 2, subjid 1"}),
    Row("a folder named as if it were a file", ONE, {"data": "dicom"}, ["dicom/1"], {"dicom": "waits for dicom"}, warning="dicom is a folder, write dicom/"),
    # what a file does to its own case
    Row("two files that get one name on VIP stop their cases only", ONE, {"data": "*.nii"}, ["a b.nii", "a_b.nii", "c.nii"], {"a b.nii": "error a b.nii and a_b.nii would both be a_b.nii", "a_b.nii": "error a b.nii and a_b.nii", "c.nii": ""}),
    Row("two folders' members that get one name on VIP", ONE, {"data": "{s}/"}, ["1/é", "1/e", "2/x"], {"1": "error 1/e and 1/é would both be 1/e", "2": ""}),
    Row("a file where another one needs a folder on VIP", TWO, {"a": FileSetting("{s}.nii", "{s}"), "b": "{s}/m"}, ["1.nii", "1/m", "2.nii"], {"1": "error 1/m needs a folder 1 on VIP, which 1.nii would be", "2": "waits for 2/m"}),
    Row("no clash with a file that does not go up", ONE, {"data": "* b.nii"}, ["a b.nii", "a_b.nii"], {"a b.nii": ""}, unused={"a_b.nii": "* b.nii"}),
    Row("a name of which VIP keeps nothing stops its case", ONE, {"data": "*.txt"}, ["日本.txt", "a.txt"], {"a.txt": "", "日本.txt": "error '日本.txt' has no letter"}),
    Row("a path that repeats VIP's root stops its case", ONE, {"data": "**/*.txt"}, ["x/vip/Home/a.txt"], {"x/vip/Home/a.txt": "error repeats"}),
    Row("a path that is too long on VIP stops its case", ONE, {"data": "{s}.nii"}, [f"{'a' * 230}.nii", "b.nii"], {"a" * 230: "error 266 characters", "b": ""}),
    Row("two inputs of one job with one base name", TWO, {"a": "{s}/a/x.nii", "b": "{s}/b/x.nii"}, ["1/a/x.nii", "1/b/x.nii"], {"1": "error a (1/a/x.nii) and b (1/b/x.nii) would both be x.nii"}),
    Row("a file and one on VIP with one base name", TWO, {"a": "x.nii", "b": "/vip/Home/x.nii"}, ["x.nii"], {"x.nii": "error (x.nii) and b (/vip/Home/x.nii)"}),
    Row("one file in two inputs is no collision", TWO, {"a": "x.nii", "b": "x.nii"}, ["x.nii"], {"x.nii": ""}),
    Row("as parts two inputs with one base name", TWO, {"a": "{s}/a/x.nii", "b": FileSetting("{s}/b/x.nii", "{s}/b/y.nii")}, ["1/a/x.nii", "1/b/x.nii"], {"1": ""}),
    Row("a member of a folder of which VIP keeps nothing", ONE, {"data": "{s}/"}, ["1/日本", "2/x"], {"1": "error '日本' has no letter", "2": ""}),
    Row("a case that waits is not judged as a whole", pipeline("Three", "a:File b:File c:File", ""), {"a": "1/x", "b": "2/x", "c": "c"}, ["1/x", "2/x"], {"1/x": "waits for c"}),
    # ready
    Row("a case is complete when its ready file is there", ONE, {"data": "{s}/a"}, ["1/a", "2/a"], {"1": "", "2": "waits for 2/.done"}, ignored=("1/.done",), inputs=InputsSettings(ready="{s}/.done")),
    Row("one ready file for all cases", ONE, {"data": "{s}/a"}, ["1/a", "2/a"], {"1": "waits for READY", "2": "waits for READY"}, inputs=InputsSettings(ready="READY")),
    Row("a ready file is seen in any case, and never sent", ONE, {"data": "*"}, ["a", "ready"], {"a": ""}, inputs=InputsSettings(ready="READY"), unused={}),
    Row("a ready file is no member of a folder", ONE, {"data": "{s}/"}, ["1/a", "1/ok"], {"1": {"data": "1/ of 1"}}, inputs=InputsSettings(ready="{s}/ok")),
    # unused
    Row("a file that no setting uses is told with the nearest pattern", TWO, {"a": "signals/*.mrui", "b": "ref.txt"}, ["signal/1.mrui", "ref.text", "zzz"], {}, unused={"ref.text": "ref.txt", "signal/1.mrui": "signals/*.mrui", "zzz": ""}),
    Row("files of incomplete cases are used", TWO, {"a": "{s}/a", "b": "{s}/b"}, ["1/a", "x"], {"1": "waits for 1/b"}, unused={"x": ""}),
    Row("where all files go up none is unused", ONE, {"data": "*.nii"}, ["a.nii", "x"], {"a.nii": ""}, inputs=InputsSettings(upload="all"), unused={}),
    Row("a clash with a file that goes up as one of all", ONE, {"data": "* b.nii"}, ["a b.nii", "a_b.nii"], {"a b.nii": "error a b.nii and a_b.nii"}, inputs=InputsSettings(upload="all")),
]

REFUSALS = [
    Refusal("a parameter that is missing", TWO, {"a": "x"}, "settings.toml, [input_settings] b is missing: Two/1 needs it (File)."),
    Refusal("an unknown parameter, with the nearest", ONE, {"data": "x", "dta": "x"}, "dta: One/1 has no such parameter; did you mean data?"),
    Refusal("an unknown parameter in other capitals", ONE, {"data": "x", "DATA": "x"}, "did you mean data?"),
    Refusal("an unknown parameter that is near to none", ONE, {"data": "x", "zzzzzz": "x"}, "there are data"),
    Refusal("a hidden parameter", GATE, {"gateInput": "x", "numberOfJobs": 1, "macfileName": "m", "jobNumber": 1}, "VIP fills this in itself, from numberOfJobs"),
    Refusal("the folder of the results", ONE, {"data": "x", "results-directory": "/vip/Home"}, "vipsync chooses"),
    Refusal("several problems, all in one message", TWO, {"a": "/x", "c": 1}, "settings.toml has 3 problems:\n  [input_settings] a: '/x' is an absolute path"),
    Refusal("a word for a whole number", MIXED, {"data": "x", "n": "many"}, "n: 'many' is not a whole number"),
    Refusal("a fraction for a whole number", MIXED, {"data": "x", "n": 1.5}, "'1.5' is not a whole number"),
    Refusal("true for a whole number", MIXED, {"data": "x", "n": True}, "'true' is not a whole number"),
    Refusal("a whole number that is too large", MIXED, {"data": "x", "n": 2**31}, "above 2147483647"),
    Refusal("a word for a number", MIXED, {"data": "x", "x": "much"}, "x: 'much' is not a number"),
    Refusal("a number for a switch", MIXED, {"data": "x", "flag": 1}, "neither true nor false"),
    Refusal("a number for a file", ONE, {"data": 5}, "data: 5 is no file"),
    Refusal("a file setting for a word", MIXED, {"data": "x", "word": FileSetting("a", "b")}, "it takes String, not a file"),
    Refusal("an archive for a number", MIXED, {"data": "x", "n": PackSetting(PackKind.ZIP, "a/")}, "it takes Int64, not a file"),
    Refusal("a value outside its choices", FREESURFER, {"license": "l", "nifti": "n", "subjid": "s", "directives": "-al"}, "did you mean -all?"),
    Refusal("a number outside its choices", GATE, {"gateInput": "x", "numberOfJobs": 20, "macfileName": "m"}, "'20' is not one of 1, 10, 100, 500"),
    Refusal("characters that VIP refuses", MIXED, {"data": "x", "word": "a;b#"}, "has '#' ';', which VIP refuses"),
    Refusal("an accent in a word", MIXED, {"data": "x", "word": "é"}, "has 'é'"),
    Refusal("an empty word", MIXED, {"data": "x", "word": " "}, "word: is empty"),
    Refusal("@@ in a word", MIXED, {"data": "x", "word": "a@@b"}, "@@"),
    Refusal("a word that is too long", MIXED, {"data": "x", "word": "a" * 256}, "256 characters, VIP stores 255"),
    Refusal("one bad item in a list", MIXED, {"data": "x", "n": (1, "b")}, "'b' is not a whole number"),
    Refusal("an empty list", ONE, {"data": ()}, "the list is empty"),
    Refusal("a space in a path on VIP", ONE, {"data": "/vip/Home/a b"}, "its job would never start"),
    Refusal("a bracket in a path on VIP", ONE, {"data": "/vip/Home/a[1]"}, "its job would never start"),
    Refusal("an absolute path", ONE, {"data": "/data/x.nii"}, "is an absolute path"),
    Refusal("a path out of the folder", ONE, {"data": "../x.nii"}, "leaves the inputs folder"),
    Refusal("a backslash", ONE, {"data": "a\\b"}, "backslash"),
    Refusal("a bracket that is never closed", ONE, {"data": "a[b"}, "never closed"),
    Refusal("two names side by side", ONE, {"data": "{a}{b}"}, "nothing stands between"),
    Refusal("a name that nothing finds out", MIXED, {"data": "{subject}.nii", "word": "{subjet}"}, "nothing says what {subjet} stands for; did you mean subject?"),
    Refusal("a name without any pattern", MIXED, {"data": "x.nii", "word": "{s}"}, "no file's pattern has a {name}"),
    Refusal("a name in a path on VIP that nothing finds out", ONE, {"data": "/vip/Home/{s}"}, "what {s} stands for"),
    Refusal("a name in ready that nothing finds out", ONE, {"data": "{s}.nii"}, "[inputs] ready: nothing says what {t}", InputsSettings(ready="{t}/.done")),
    Refusal("a ready folder", ONE, {"data": "x"}, "[inputs] ready: 'ok/' is a folder", InputsSettings(ready="ok/")),
    Refusal("a ready file out of the folder", ONE, {"data": "x"}, "[inputs] ready: '../ok' leaves", InputsSettings(ready="../ok")),
    Refusal("a name in as that its pattern lacks", ONE, {"data": FileSetting("{s}.nii", "{t}.nii")}, "{t} does not stand in '{s}.nii'"),
    Refusal("a star in as", ONE, {"data": FileSetting("*.nii", "*.nii")}, "only {names} can stand in it"),
    Refusal("as for a folder", ONE, {"data": FileSetting("d/", "e")}, "or to a folder that is packed"),
    Refusal("a folder without a name of its own", ONE, {"data": PackSetting(PackKind.ZIP, "./")}, 'add as = "study.zip"'),
    Refusal("an archive that is called another kind", ONE, {"data": PackSetting(PackKind.ZIP, "d/", "d.tar")}, "end it with .zip"),
    Refusal("a name of an archive that nothing binds", ONE, {"data": PackSetting(PackKind.ZIP, "{s}/", "{t}.zip")}, "{t} does not stand in '{s}/'"),
    Refusal("as that ends with a slash", ONE, {"data": FileSetting("d", "e/")}, "end it with the file's name"),
    Refusal("as out of the folder", ONE, {"data": FileSetting("d", "../e")}, "leaves the inputs folder"),
    Refusal("as for a file on VIP", ONE, {"data": FileSetting("/vip/Home/x", "y")}, "already on VIP"),
    Refusal("paired lists of unequal length", PAIRED, {"a": ("1", "2"), "b": ("3",)}, "must be equally long: a 2, b 1"),
    Refusal("paired lists that say the same twice", PAIRED, {"a": ("1", "1"), "b": ("2", "2")}, "two items of these lists are the same"),
    Refusal("several stars under vip:dot", PAIRED, {"a": "a/*", "b": "b/*"}, "write {name} where they vary, as in a = 'a/{name}'"),
    Refusal("a star beside a list under vip:dot", PAIRED, {"a": "a/*", "b": ("1", "2")}, "nothing says which belong together"),
    Refusal("a list whose items have other names", ONE, {"data": ("{s}/a", "b")}, "must use the same {names}"),
]
# fmt: on


def found(row: Row) -> CaseSet:
    settings = Settings(
        "study", row.app.pipeline_id, input_settings=row.settings, inputs=row.inputs
    )
    files = [RelPath(path) for path in row.files]
    return find_cases(files, [*files, *map(RelPath, row.ignored)], settings, row.app)


def words(value: InputValue) -> str:
    match value:
        case Text(text=text):
            return text
        case InputFile(path=path, as_name=""):
            return path
        case InputFile(path=path, as_name=as_name):
            return f"{path} as {as_name}"
        case InputFolder(path=path, members=members):
            return f"{path}/ of {len(members)}"
        case PackedFolder(path=path, kind=kind, members=members, as_name=""):
            return f"{kind} {path} of {len(members)}"
        case PackedFolder(path=path, kind=kind, members=members, as_name=as_name):
            return f"{kind} {path or './'} as {as_name} of {len(members)}"


def agrees(case: Case, expected: str | Mapping[str, str]) -> bool:
    if isinstance(expected, str) and expected.startswith("error "):
        return expected.removeprefix("error ") in case.error
    if isinstance(expected, str) and expected:
        return not case.error and expected == f"waits for {', '.join(case.waits_for)}"
    values = {name: words(value) for name, value in case.values.items()}
    return case.complete and (not expected or values.items() >= dict(expected).items())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_files_make_these_cases(row: Row) -> None:
    """Files and settings make exactly these cases, with these values or this reason."""
    cases = found(row)
    assert [case.id for case in cases.cases] == sorted(row.expect)
    wrong = [case for case in cases.cases if not agrees(case, row.expect[case.id])]
    assert not wrong
    if row.unused is not None:
        assert {unused.path: unused.nearest for unused in cases.unused} == row.unused
    assert row.warning in " ".join(cases.warnings)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_settings_that_cannot_be_are_refused(refusal: Refusal) -> None:
    """Settings that VIP or vipsync can't work with are refused before anything is sent."""
    settings = Settings(
        "study", refusal.app.pipeline_id, input_settings=refusal.settings, inputs=refusal.inputs
    )
    with pytest.raises(SettingsError) as error:
        find_cases([], [], settings, refusal.app)
    assert refusal.hint in str(error.value)
    assert "settings.toml" in str(error.value)


def test_the_table_is_as_long_as_promised() -> None:
    """The table has unique names, so that each row shows by itself."""
    names = [row.name for row in ROWS] + [refusal.name for refusal in REFUSALS]
    assert len(names) == len(set(names)) >= 80


def test_without_a_pipeline_there_are_no_cases() -> None:
    """A folder without a pipeline only uploads."""
    settings = Settings("study", input_settings={"data": "*.nii"})
    assert find_cases([RelPath("a.nii")], [], settings, None) == CaseSet()


def test_own_files_are_those_that_vary() -> None:
    """Own files are what a pattern or a list chose, shared ones are named in full; names are kept."""
    row = Row(
        "",
        pipeline("Three", "a:File b:File c:File", ""),
        {"a": "{s}/a", "b": "shared/", "c": ("x", "y")},
        ["1/a", "shared/2", "shared/1", "x", "y"],
    )
    first = found(row).cases[0]
    assert (first.id, first.own, first.shared) == ("1 + x", ("1/a", "x"), ("shared/1", "shared/2"))
    assert first.names == {"s": "1"}


def test_the_order_of_files_changes_nothing() -> None:
    """Cases do not depend on the order in which files are seen."""
    row = ROWS[[row.name for row in ROWS].index("two folders that pack to one name are told")]
    files = list(row.files)
    random.Random(1).shuffle(files)
    assert found(row) == found(Row(row.name, row.app, row.settings, files))


def test_more_cases_than_anybody_means_are_refused() -> None:
    """Two patterns that should share a name do not fill the memory with their product."""
    files = [RelPath(f"{n}.{kind}") for n in range(1000) for kind in "ab"]
    settings = Settings("study", "Two/1", input_settings={"a": "{x}.a", "b": "{y}.b"})
    with pytest.raises(SettingsError, match=r"1000000 cases.*same \{name\}"):
        find_cases(files, files, settings, TWO)


def test_many_kinds_of_unused_files_are_all_told() -> None:
    """Each unused file is told, however many there are."""
    letters = [chr(ord("a") + n % 26) * (n // 26 + 1) for n in range(400)]
    files = [RelPath(f"{word}.nii") for word in letters]
    settings = Settings("study", "One/1", input_settings={"data": "x/*.nii"})
    unused = find_cases(files, files, settings, ONE).unused
    assert sorted(unused_file.path for unused_file in unused) == sorted(files)
