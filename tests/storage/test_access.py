"""Where an address leads: to its file, to that of a mirror, or nowhere; and without secrets."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timesync_xr import Archive
from timesync_xr.errors import InputError, ReadError
from timesync_xr.storage.access import S3, Access, clean, keepable, lies_below, without_secrets

ARCHIVE = "s3://usgs-landsat-ard"
BODY = b"pixels"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """tmp/ard/a/x.tif, tmp/ard-evil/x.tif, tmp/secret.txt and links out of tmp/ard."""
    for name in ("ard/a/x.tif", "ard-evil/x.tif", "secret.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(BODY)
    (tmp_path / "ard/out.tif").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "ard/outside").symlink_to(tmp_path / "ard-evil")
    (tmp_path / "ard/in.tif").symlink_to(tmp_path / "ard/a/x.tif")
    (tmp_path / "link").symlink_to(tmp_path / "ard")
    return tmp_path


def test_mirror_leads_to_a_folder(archive: Path) -> None:
    access = Access(mirrors=((ARCHIVE, str(archive / "ard")),))
    assert access.resolve(f"{ARCHIVE}/a/x.tif") == str(archive / "ard/a/x.tif")
    assert access.resolve(f"{ARCHIVE}/in.tif") == str(archive / "ard/a/x.tif")
    assert access.resolve("s3://usgs-landsat-ard-evil/x.tif") == "s3://usgs-landsat-ard-evil/x.tif"


def test_mirror_folder_may_be_a_link_or_relative(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access(mirrors=((ARCHIVE, str(archive / "link")),))
    assert access.resolve(f"{ARCHIVE}/a/x.tif") == str(archive / "ard/a/x.tif")
    monkeypatch.chdir(archive)
    for relative in ("ard", "./ard/", "ard/../ard"):
        access = Access(mirrors=((ARCHIVE + "/", relative),))
        assert access.resolve(f"{ARCHIVE}/a/x.tif") == str(archive / "ard/a/x.tif")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("s3://mine/copy", "s3://mine/copy/k/B%204.TIF"),
        ("s3://mine/", "s3://mine/k/B%204.TIF"),
        ("https://cache.example.org/ard", "https://cache.example.org/ard/k/B%204.TIF"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/k/B%204.TIF"),
    ],
)
def test_mirror_leads_to_another_place(new: str, expected: str) -> None:
    assert Access(mirrors=((ARCHIVE, new),)).resolve(f"{ARCHIVE}/k/B%204.TIF") == expected


def test_path_of_a_web_address_is_decoded_once(archive: Path) -> None:
    direct = Access().resolve("https://host.example.org/a%20b/x%2541.tif")
    assert direct == "https://host.example.org/a b/x%41.tif"
    mirrored = Access(mirrors=(("https://host.example.org", "s3://mine"),))
    assert mirrored.resolve("https://host.example.org/a%20b/x.tif") == "s3://mine/a b/x.tif"


def test_longest_mirror_wins() -> None:
    mirrors = ((ARCHIVE, "s3://one"), (f"{ARCHIVE}/collection02/tm", "s3://two"))
    for order in (mirrors, mirrors[::-1]):
        access = Access(mirrors=order)
        assert access.resolve(f"{ARCHIVE}/collection02/tm/x") == "s3://two/x"
        assert access.resolve(f"{ARCHIVE}/collection02/tm2/x") == "s3://one/collection02/tm2/x"


def test_files_of_the_items_folder(archive: Path) -> None:
    access = Access(folder=str(archive / "ard"))
    expected = str(archive / "ard/a/x.tif")
    for href in ("a/x.tif", "./a/x.tif", expected, f"file://{expected}", "in.tif"):
        assert access.resolve(href) == expected


@pytest.mark.parametrize(
    "href",
    [
        "/vsicurl/http://host/x.tif",
        "/vsis3/bucket/x.tif",
        "vsimem://x",
        "file:///etc/passwd",
        "file://other/ard/a/x.tif",
        "/etc/passwd",
        "ftp://host/x.tif",
        "gs://bucket/x.tif",
        "HTTP://host.example.org/x.tif",
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/x.tif",
        "https://10.1.2.3/x.tif",
        "https://[::1]/x.tif",
        "https://[fd00:ec2::254]/x.tif",
        "https://[::ffff:127.0.0.1]/x.tif",
        "https://2130706433/x.tif",
        "https://0x7f.1/x.tif",
        "https://127.1/x.tif",
        "https://localhost/x.tif",
        "https://127.0x0.0.1/x.tif",
        "https://%6cocalhost.example/x.tif",
        "https://127.0.0.1\\.example.org/x.tif",
        "https://\uff11\uff12\uff17.0.0.1/x.tif",
        "https://127.0.0.1./x.tif",
        "https://[::1/x.tif",
        "https://host.example.org:/x.tif",
        "https://metadata.google.internal/x.tif",
        "https://user:password@host.example.org/x.tif",
        "https://host.example.org/x.tif?X-Amz-Signature=hunter2",
        "https:///x.tif",
        "s3:///x.tif",
        "../secret.txt",
        "a/../../secret.txt",
        "a/%2e%2e/%2e%2e/secret.txt",
        f"{ARCHIVE}/../secret.txt",
        f"{ARCHIVE}/out.tif",
        f"{ARCHIVE}/outside/x.tif",
        f"{ARCHIVE}//etc/passwd/../x",
        "out.tif",
        "outside/x.tif",
        "x\0.tif",
        "https://host.example.org/a\nb",
        "",
    ],
)
def test_addresses_that_are_refused(archive: Path, href: str) -> None:
    access = Access(mirrors=((ARCHIVE, str(archive / "ard")),), folder=str(archive / "ard"))
    with pytest.raises(ReadError, match="refused") as caught:
        access.resolve(href)
    assert "--mirror" in caught.value.remedy
    assert "hunter2" not in str(caught.value)
    assert "password" not in str(caught.value) or "etc" in href


def test_files_are_refused_where_the_items_come_from_no_folder(archive: Path) -> None:
    for href in ("x.tif", str(archive / "ard/a/x.tif")):
        with pytest.raises(ReadError, match="refused"):
            Access().resolve(href)


def test_a_scheme_in_capitals_is_the_same() -> None:
    assert Access().resolve("S3://bucket/a%20b") == "s3://bucket/a%20b"
    assert Access().resolve("HTTPS://host.org/a%20b") == "https://host.org/a b"


def test_an_address_below_a_mirror_may_be_used_directly(archive: Path) -> None:
    mirrors = ((ARCHIVE, "http://127.0.0.1:8000/ard"), ("s3://b", str(archive / "ard")))
    access = Access(mirrors=mirrors)
    assert access.resolve("http://127.0.0.1:8000/ard/x") == "http://127.0.0.1:8000/ard/x"
    assert access.resolve(str(archive / "ard/a/x.tif")) == str(archive / "ard/a/x.tif")
    for href in ("http://127.0.0.1:8000/arduous", "http://127.0.0.1:80/ard/x"):
        with pytest.raises(ReadError, match="refused"):
            access.resolve(href)


@given(href=st.text(max_size=40) | st.text("./%2eas:h@?#", max_size=20))
def test_any_text_is_resolved_inside_or_refused(
    tmp_path_factory: pytest.TempPathFactory, href: str
) -> None:
    root = tmp_path_factory.getbasetemp()
    try:
        address = Access(folder=str(root)).resolve(href)
    except ReadError:
        return
    inside = address.startswith(f"{os.path.realpath(root)}/")
    assert inside or address.startswith(("s3://", "https://"))


@pytest.mark.parametrize(
    "new",
    ["", "ftp://host/x", "gs://bucket", "s3://a b", "s3://a`/x", "https://{a}/x", "http://a:99999"],
)
def test_mirrors_that_are_refused(new: str) -> None:
    with pytest.raises(InputError, match="mirror"):
        Access(mirrors=((ARCHIVE, new),))
    with pytest.raises(InputError, match="mirror"):
        Access(mirrors=(("", "/data"),))


def test_the_access_of_an_archive(archive: Path) -> None:
    pays = S3(requester_pays=True)
    items = archive / "ard" / "items.json"
    items.write_text("{}")
    assert Archive().access == Access(s3=pays)
    copy = archive / "b=c"
    copy.mkdir()
    made = Archive(items, mirror=f" s3://a = {copy} ").access
    assert made == Access((("s3://a", str(copy)),), str(archive / "ard"), pays)
    pairs: list[str | tuple[str, str]] = [f"s3://a={copy}", ("c", "s3://d")]
    made = Archive(str(items), mirror=pairs, s3=S3(requester_pays=False)).access
    assert made.mirrors == (("s3://a", str(copy)), ("c", "s3://d"))
    assert made.s3 == S3(requester_pays=False)
    with pytest.raises(InputError, match="does not exist"):
        Archive(items, mirror="s3://a=/not/there")
    with pytest.raises(InputError, match="OLD=NEW"):
        Archive(mirror=["/data"])


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("endpoint", ["x", "http://", "http://[b", "http://a b", "ftp://h", "http://h:99999",
                      "http://h/x?y=1", "https://é.org", "http://h/\0"],
         "is no address of a service"),
        ("aws_region", ["", "us west", "x/y", "é", "x\n"], "there is no AWS region"),
        ("timeout_seconds", [-1, 0, float("nan"), float("inf")], "can't be: give numbers from 0"),
        ("retry_seconds", [-1, float("nan")], "can't be: give numbers from 0"),
        ("max_retries", [-1], "can't be: give numbers from 0"),
        ("max_retries", ["x", None, 1.5], "max_retries is of"),
        ("profile", [5], "profile is of int"),
        ("unsigned", ["x", None], "unsigned is of"),
    ],
)  # fmt: skip
def test_what_no_service_is_reached_by_is_refused(name: str, values: list[Any], told: str) -> None:
    """At once: obstore panics at some of it, which no handler of errors catches."""
    for value in values:
        with pytest.raises(InputError, match=told):
            S3(**{name: value})
    fine: list[dict[str, Any]] = [
        {"endpoint": "https://user:word@s3.example.org:9000/path"}, {"endpoint": "http://[::1]:9"},
        {"endpoint": ""}, {"aws_region": "eu-west-1"}, {"retry_seconds": float("inf")},
    ]  # fmt: skip
    for options in fine:
        S3(**options)


def test_access_is_a_plain_value() -> None:
    access = Access(mirrors=((ARCHIVE, "s3://b"),), s3=S3(profile="p"))
    assert pickle.loads(pickle.dumps(access)) == access
    assert hash(access) == hash(pickle.loads(pickle.dumps(access)))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("https://u:p@h/x?sig=1#f", "https://h/x"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("a\nb\x1b[31m", "a?b?[31m"),
        ("/data/x.tif", "/data/x.tif"),
        ("/data/run#3/why?.tif", "/data/run#3/why?.tif"),
        ("x.tif?sig=1", "x.tif"),
        ("https://u:p@ss@h/x y?sig=1\n#", "https://h/x y"),
        ("//user:pw@host/x", "//host/x"),
        ("https:/user:pw@host/x", "https:/host/x"),
        ("/data/a@b/x", "/data/a@b/x"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize("scheme", ["s3", "https", "http"])
@pytest.mark.parametrize(
    "href",
    ["{}://host.org/a b.tif?sig=hunter2", "{}://me:hunter2@host.org/x", "{}://h.org/x#hunter2"],
)
def test_an_address_that_lost_its_secrets_is_refused_as_the_whole_one(
    scheme: str, href: str
) -> None:
    whole = href.format(scheme)
    kept = keepable(whole)
    assert "hunter2" not in kept
    assert keepable(kept) == kept
    said = []
    for address in (whole, kept):
        with pytest.raises(ReadError, match="it carries credentials or a query") as caught:
            Access().resolve(address)
        said.append(str(caught.value))
    assert said[0] == said[1]


@given(st.text("abc:/@=%. \n", max_size=40), st.sampled_from(["", "?", "?a=1", "#1", "?a?b#"]))
def test_an_address_is_kept_but_for_its_query(path: str, query: str) -> None:
    kept = keepable(f"https://host.org/{path}{query}")
    assert kept == f"https://host.org/{path}{'?' if query else ''}"


def test_json_without_secrets() -> None:
    value = {
        "assets": {"blue": {"href": "https://u:p@h/x?X-Amz-Signature=1", "title": "Blue"}},
        "links": [{"rel": "next", "href": "search?token=1", "body": {"token": "1", "limit": 5}}],
        "note": "see s3://b/k?sig=1 and https://h/y",
        "xarray:storage_options": {"account_name": "a", "account_key": "1", "sas_token": "1"},
        "properties": {"datetime": "2020", "eo:cloud_cover": 1.5, "none": None},
    }
    assert without_secrets(value) == {
        "assets": {"blue": {"href": "https://h/x?", "title": "Blue"}},
        "links": [{"rel": "next", "href": "search?", "body": {"limit": 5}}],
        "note": "see s3://b/k? and https://h/y",
        "xarray:storage_options": {"account_name": "a"},
        "properties": {"datetime": "2020", "eo:cloud_cover": 1.5, "none": None},
    }


def test_a_mirror_needs_no_signature(archive: Path) -> None:
    access = Access(mirrors=(("https://host.org", str(archive / "ard")),))
    for href in ("https://host.org/a/x.tif?sig=1", keepable("https://host.org/a/x.tif?sig=1")):
        assert access.resolve(href) == str(archive / "ard/a/x.tif")


def test_folders_of_windows_end_in_either_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timesync_xr.storage.access.os.sep", "\\")
    assert all(lies_below(rf"C:\data{rest}", r"C:\data") for rest in ("", r"\a.tif", "/a.tif"))
    assert lies_below(r"C:\data\a.tif", "C:\\data\\")
    assert not lies_below(r"C:\database\a.tif", r"C:\data")
