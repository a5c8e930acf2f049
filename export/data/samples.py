"""Reads samples from a folder: tensors ready for the graph, raw files prepared as at run time, or a take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mm_edge.errors import InputError, UsageError
from mm_edge.spec import AudioInput, ImageInput, TextInput, VectorInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mm_edge.export.feeds import Feed
    from mm_edge.export.model import SourceModel
    from mm_edge.spec import InputSpec

T = TypeVar("T")
TENSOR_FILES = (".safetensors", ".npz")
TAKE_FILES = ("camera.mp4", "sound.wav", "text.jsonl")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
FORMS = (
    "Give a folder of .safetensors or .npz files (one sample each, tensors by input name), of folders (one sample "
    "each: NAME.png, NAME.wav, NAME.txt, NAME.npy by input name), or a take (camera.mp4, sound.wav, text.jsonl)"
)


def read_samples(folder: Path, model: SourceModel, count: int) -> Iterator[Feed]:
    """At most `count` samples in their order, spread evenly over all that there are."""
    action = f"reading the samples of {folder.name}"
    if not folder.is_dir():
        raise UsageError("there is no such folder", action=action, hint=FORMS)
    if any((folder / name).exists() for name in TAKE_FILES):
        from .take import read_take

        return iter(spread(read_take(folder, model, count), count))
    entries = sorted(folder.iterdir())
    if files := [entry for entry in entries if entry.suffix in TENSOR_FILES]:
        return (_batched(_read_tensors(file), model) for file in spread(files, count))
    if folders := [entry for entry in entries if entry.is_dir()]:
        return _read_raw(spread(folders, count), model)
    raise UsageError(f"it contains {len(entries)} entries, none of them a sample", action=action, hint=FORMS)


def spread(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items at even distances, because neighbours in time are too alike for a calibration."""
    if len(items) <= count:
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def _read_tensors(file: Path) -> Feed:
    if file.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return dict(load_file(file))
        except SafetensorError as error:
            raise InputError(str(error), action=f"reading {file.name}") from None
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise InputError(str(error), action=f"reading {file.name}", hint="Arrays of plain numbers only") from None


def _batched(feed: Feed, model: SourceModel) -> Feed:
    """A tensor without the batch dimension gets one."""
    from mm_edge.export.feeds import graph_inputs

    ranks = {tensor.name: len(tensor.shape) for tensor in graph_inputs(model.spec)}
    return {name: array[None] if array.ndim == ranks.get(name, 0) - 1 else array for name, array in feed.items()}


def _read_raw(folders: list[Path], model: SourceModel) -> Iterator[Feed]:
    from mm_edge.runtime.prepare import preparer

    preparers = {item.name: preparer(item, lambda name: _file_bytes(model, name)) for item in model.spec.inputs}
    for folder in folders:
        feed: Feed = {}
        for item in model.spec.inputs:
            made = preparers[item.name]
            arrays = {
                key: np.zeros([dim if isinstance(dim, int) else 1 for dim in field.shape], np.dtype(field.dtype))
                for key, field in made.fields.items()
            }
            made.write(_raw_value(folder, item), arrays)
            feed |= {f"{item.name}.{key}" if key else item.name: array for key, array in arrays.items()}
        yield feed


def _file_bytes(model: SourceModel, name: str) -> bytes:
    content = model.files[name]
    return content if isinstance(content, bytes) else Path(content).read_bytes()


def _raw_value(folder: Path, item: InputSpec) -> object:
    action = f"reading '{item.name}' of the sample {folder.name}"
    if isinstance(item, ImageInput):
        import cv2

        path = next((path for suffix in PICTURES if (path := folder / f"{item.name}{suffix}").is_file()), None)
        picture = cv2.imread(str(path)) if path else None
        if picture is None:
            raise InputError(f"there is no picture {item.name}.png", action=action, hint=FORMS)
        return picture
    if isinstance(item, TextInput):
        path = folder / f"{item.name}.txt"
        if not path.is_file():
            raise InputError(f"there is no {path.name}", action=action, hint=FORMS)
        return path.read_text(encoding="utf-8").strip()
    if isinstance(item, AudioInput):
        return _sound(folder / f"{item.name}.wav", item, action)
    numbers = folder / f"{item.name}.npy"
    if isinstance(item, VectorInput) and numbers.is_file():
        return np.load(numbers, allow_pickle=False)
    raise InputError(f"no file for '{item.name}'", action=action, hint=FORMS)


def _sound(path: Path, item: AudioInput, action: str) -> object:
    """The last window of a wav file, at the model's rate."""
    import wave

    import soxr

    from mm_edge.runtime.sound import sound_block

    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise InputError(f"{8 * file.getsampwidth()} bits a sample", action=action, hint="Give 16-bit PCM")
            sound = (
                np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels()).mean(axis=1)
                / 32768
            )
            rate = file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise InputError(str(error), action=action, hint=FORMS) from None
    if rate != item.prepare.sample_rate:
        sound = soxr.resample(sound, rate, item.prepare.sample_rate)
    return sound_block(sound.astype(np.float32), item.prepare.window)
