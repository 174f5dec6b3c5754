"""immich: an uploaded photo is kept, byte for byte, with its thumbnail."""

import struct
import zlib

import pytest

from harness import App, check, seed, wreck

EMAIL, PASSWORD = "owner@example.com", "nobody-uses-this-password"

# %% [markdown]
# # immich
# The first user to sign up becomes the administrator. The photo that they upload is served unchanged and
# gets a thumbnail. It survives an upgrade, and a restore onto an empty server, which needs both the library
# and the database in the backup.


# %% A small picture
def png(side: int = 8) -> bytes:
    """Return a PNG of one colour, `side` pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\x00" + b"\x30\x60\x90" * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# %% Signing in, as the phone app does
def signed_in(app: App) -> dict[str, str]:
    body = {"email": EMAIL, "password": PASSWORD}
    token = app.post("/api/auth/login", status=201, json=body).json()["accessToken"]
    return {"Authorization": f"Bearer {token}"}


# %% What the owner creates
@seed
def the_owner_uploads_a_photo(app: App) -> None:
    owner = {"email": EMAIL, "password": PASSWORD, "name": "Owner"}
    app.post("/api/auth/admin-sign-up", status=201, json=owner)
    taken = "2026-01-01T00:00:00.000Z"
    fields = {
        "deviceAssetId": "cc-ci-1",
        "deviceId": "cc-ci",
        "fileCreatedAt": taken,
        "fileModifiedAt": taken,
    }
    files = {"assetData": ("photo.png", png(), "image/png")}
    answer = app.post(
        "/api/assets", status=201, headers=signed_in(app), data=fields, files=files, timeout=60
    )
    app.notes["photo"] = answer.json()["id"]


# %% What must hold after every operation
@check
def the_photo_is_unchanged(app: App) -> None:
    photo = app.get(f"/api/assets/{app.notes['photo']}/original", headers=signed_in(app))
    assert photo.content == png()


@check
def the_photo_has_a_thumbnail(app: App) -> None:
    # A background job makes it some time after the upload.
    headers, path = signed_in(app), f"/api/assets/{app.notes['photo']}/thumbnail"
    app.wait_until(
        lambda: len(app.get(path, headers=headers).content) > 0, what="the thumbnail", timeout=120
    )
    assert app.get(path, headers=headers).headers["Content-Type"].startswith("image/")


# %% What a disaster destroys
@wreck
def the_photo_is_deleted_for_good(app: App) -> None:
    body = {"ids": [app.notes["photo"]], "force": True}
    app.request("DELETE", "/api/assets", status=204, headers=signed_in(app), json=body)


# %% [markdown]
# ## What else the recipe promises


# %% Nobody sees the photo without signing in
@pytest.mark.functional
def test_a_visitor_does_not_see_the_photo(app: App) -> None:
    answer = app.get(f"/api/assets/{app.notes['photo']}/original", status=(401, 403))
    assert png() not in answer.content


# %% A second user cannot become the administrator
@pytest.mark.functional
def test_a_second_sign_up_is_refused(app: App) -> None:
    second = {"email": "second@example.com", "password": PASSWORD, "name": "Second"}
    answer = app.post("/api/auth/admin-sign-up", status=(400, 403), json=second)
    assert "accessToken" not in answer.text


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
