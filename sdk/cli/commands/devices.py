"""mm-edge devices: lists the cameras and microphones of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mm_edge.doctor.system import Probe


def devices(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the cameras and their modes, and the microphones, with the names that `mm-edge run` accepts."""
    from mm_edge.doctor.cameras import video_devices
    from mm_edge.doctor.sound import portaudio

    cameras, sound = video_devices(), portaudio()
    if json:
        import msgspec

        from mm_edge.cli.terminal import print_json
        from mm_edge.doctor.report import DevicesReport

        microphones = sound.result.get("microphones", [])
        found = {"cameras": cameras, "microphones": microphones, "sound": sound.failed or "ok"}
        report = msgspec.convert(found, DevicesReport)
        print_json(report)
        return
    _print_cameras(cameras)
    _print_microphones(sound)


def _print_cameras(cameras: list[dict[str, Any]]) -> None:
    from mm_edge.cli.terminal import add, console, table

    if not cameras:
        typer.echo("no camera found; --camera also accepts a file, a stream, 'synthetic' or 'none'")
        return
    listed = table("--camera", "name", "format", "size", "fps")
    for camera in cameras:
        if camera["failed"] or not camera["modes"]:
            add(
                listed,
                camera["camera"],
                camera.get("name", camera["path"]),
                camera["failed"] or "no modes listed",
                "",
                "",
            )
        for place, mode in enumerate(camera["modes"]):
            head = (camera["camera"], camera["name"]) if place == 0 else ("", "")
            width, height = mode["size"]
            add(listed, *head, mode["format"], f"{width}x{height}", " ".join(f"{rate:g}" for rate in mode["fps"]))
    console().print(listed)


def _print_microphones(sound: Probe) -> None:
    from mm_edge.cli.terminal import add, console, table

    found = sound.result.get("microphones", [])
    if not found:
        why = f" ({sound.failed}; see mm-edge doctor)" if sound.failed else ""
        typer.echo(f"no microphone found{why}; --mic also accepts a file, 'synthetic' or 'none'")
        return
    listed = table("--mic", "name", "host API", "channels", "rate")
    for each in found:
        number = f"{each['index']} (default)" if each["default"] else str(each["index"])
        add(listed, number, each["name"], each["host"], str(each["channels"]), f"{each['rate']:g} Hz")
    console().print(listed)
