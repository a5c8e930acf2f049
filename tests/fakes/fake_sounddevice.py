"""The sounddevice module, with microphones that do what a test says."""

from types import SimpleNamespace

import numpy as np


class PortAudioError(Exception):
    pass


class FakeStream:
    def __init__(self, fake, *, samplerate, blocksize, channels, callback, **action):
        self.fake, self.rate, self.block, self.channels, self.callback = fake, samplerate, blocksize, channels, callback
        self.action, self.active, self.closed = action, True, False

    def start(self):
        if self.fake.refuses_to_start:
            raise PortAudioError("Device unavailable [PaErrorCode -9985]")
        self.fake.on_start(self)

    def hear(self, sound, *, adc_s, now_s, overflow=False):
        """One callback, with mono sound on every channel."""
        times = SimpleNamespace(currentTime=now_s, inputBufferAdcTime=adc_s)
        block = np.repeat(np.asarray(sound, np.float32)[:, None], self.channels, axis=1)
        self.callback(block, len(block), times, SimpleNamespace(input_overflow=overflow))

    def abort(self, *, ignore_errors):
        self.active = False

    def close(self, *, ignore_errors):
        self.closed = True


class FakeSoundDevice:
    """Stands in for the whole module."""

    PortAudioError = PortAudioError

    def __init__(self, *, names=("USB Mic",), rates=(48000,), mono=True, default=0, on_start=lambda stream: None):
        self.names, self.rates, self.mono = names, rates, mono
        self.default = SimpleNamespace(device=[default, 0])
        self.on_start, self.refuses_to_start = on_start, False
        self.streams, self.scans = [], 0

    def query_hostapis(self):
        return [{"name": "ALSA"}]

    def query_devices(self):
        speaker = {"name": "Speaker", "hostapi": 0, "max_input_channels": 0, "default_samplerate": 48000.0}
        return [
            {"name": name, "hostapi": 0, "max_input_channels": 2, "default_samplerate": float(self.rates[0])}
            for name in self.names
        ] + [speaker]

    def check_input_settings(self, device, channels, dtype, *, samplerate):
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        if channels == 1 and not self.mono:
            raise PortAudioError("Invalid number of channels [PaErrorCode -9998]")

    def InputStream(self, **requested):  # noqa: N802  # the library's name
        self.streams.append(FakeStream(self, **requested))
        return self.streams[-1]

    def _terminate(self):
        self.scans += 1

    def _initialize(self):
        pass
