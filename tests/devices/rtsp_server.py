#!/usr/bin/python3
"""A real RTSP camera on the loopback network that shows one colour: rtsp_server.py PORT COLOR.

PORT 0 takes a free one; COLOR is 0xAARRGGBB. Prints its address once it serves. It needs the system's Python:
GStreamer's RTSP server comes as a Debian package only.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - the versions are chosen first

PICTURE = "videotestsrc is-live=true pattern=solid-color foreground-color={color}"
FORMAT = "video/x-raw,format=I420,width=640,height=480,framerate=30/1"
H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! rtph264pay name=pay0 pt=96 config-interval=1"

port, color = sys.argv[1:]
Gst.init(None)
camera = GstRtspServer.RTSPMediaFactory()
camera.set_launch(f"( {PICTURE.format(color=color)} ! {FORMAT} ! {H264} )")
camera.set_shared(True)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
server.get_mount_points().add_factory("/camera", camera)
if not server.attach(None):
    sys.exit(f"the port {port} cannot be had")
print(f"rtsp://127.0.0.1:{server.get_bound_port()}/camera", flush=True)  # noqa: T201 - it is a program
GLib.MainLoop().run()
