"""The TensorRT runner against a TensorRT and a GPU made of numpy: everything but TensorRT and CUDA themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fcnrt.runtime.errors import FrameError, InferenceError
from fcnrt.runtime.segmenter import Segmenter

from .fake_tensorrt import LARGE, SMALL, Setup, frames


def test_computes(setup: Setup) -> None:
    image = frames(1, 10, 12)
    with Segmenter(setup.open()) as segmenter:
        assert (segmenter.backend, segmenter.device) == ("tensorrt", "cuda:0")
        np.testing.assert_array_equal(segmenter(image[0]), image[0].argmax(-1))
    assert setup.trt.plans == [b"plan"]


def test_all_outputs(make_setup: Callable[..., Setup]) -> None:
    image = frames(1, 9, 7)
    with Segmenter(make_setup(outputs=("class_map", "confidence", "logits", "overlay")).open()) as segmenter:
        prediction = segmenter.predict(image[0])
    np.testing.assert_array_equal(prediction.class_map, image[0].argmax(-1))
    np.testing.assert_array_equal(prediction.confidence, image[0].max(-1))
    np.testing.assert_array_equal(prediction.logits, image[0].transpose(2, 0, 1).astype(np.float32))
    np.testing.assert_array_equal(prediction.overlay, 255 - image[0])


def test_memory_for_an_output_is_page_locked_when_it_is_wanted(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup(outputs=("class_map", "logits"))
    runner = setup.open()
    runner.run(frames(1, 8, 8), ("class_map",))
    before = setup.memory.host_blocks
    runner.run(frames(1, 8, 8), ("class_map", "logits"))
    assert setup.memory.host_blocks == before + 1


def test_writes_into_the_callers_buffer(setup: Setup) -> None:
    image, out = frames(1, 10, 12), np.zeros((1, 10, 12), np.uint8)
    results = setup.open().run(image, ("class_map",), class_map=out)
    assert results["class_map"] is out
    np.testing.assert_array_equal(out, image.argmax(-1))


def test_results_belong_to_the_caller(setup: Setup) -> None:
    runner = setup.open()
    images = [frames(1, 10, 12, seed) for seed in range(3)]
    results = [runner.run(image, ("class_map",))["class_map"] for image in images]
    for image, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(result, image.argmax(-1))


def test_buffers_are_made_once_per_profile(setup: Setup) -> None:
    runner = setup.open()
    runner.run(frames(1, 5, 5), ("class_map",))
    small, contexts = len(setup.memory.blocks), setup.trt.contexts
    for height in range(4, 17):
        runner.run(frames(1, height, 6), ("class_map",))
    assert (len(setup.memory.blocks), setup.trt.contexts) == (small, contexts) == (4, 1)
    runner.run(frames(1, 30, 50), ("class_map",))
    assert (len(setup.memory.blocks), setup.trt.contexts) == (8, 2)
    assert max(block.size for block in setup.memory.blocks.values()) == 40 * 60 * 3


@pytest.mark.parametrize(("size", "blocks"), [((8, 8), [16 * 16]), ((17, 8), [40 * 60]), ((40, 60), [40 * 60])])
def test_takes_the_tightest_profile(setup: Setup, size: tuple[int, int], blocks: list[int]) -> None:
    setup.open().run(frames(1, *size), ("class_map",))
    assert sorted({block.size for block in setup.memory.blocks.values()})[:1] == blocks


@pytest.mark.parametrize("size", [(3, 8), (41, 20), (20, 61), (5, 50)])
def test_refuses_sizes_outside_every_profile(setup: Setup, size: tuple[int, int]) -> None:
    message = (
        rf"frames of {size[0]}x{size[1]} are outside the sizes this engine was built for "
        r"\(4x4\.\.16x16 or 8x8\.\.40x60\)\. Resize them, or rebuild it: "
        r"fcnrt build .*tiny\.onnx -o .*tiny\.engine --profile "
        rf"{min(4, size[0])}x{min(4, size[1])},8x8,{max(16, size[0])}x{max(16, size[1])} --profile 8x8,32x32,40x60$"
    )
    with pytest.raises(FrameError, match=message):
        setup.open().run(frames(1, *size), ("class_map",))


@pytest.mark.parametrize(("batch", "parts"), [(1, [1]), (2, [2]), (3, [2, 1]), (7, [2, 2, 2, 1])])
def test_a_larger_batch_is_run_in_parts(make_setup: Callable[..., Setup], batch: int, parts: list[int]) -> None:
    setup = make_setup(profiles=(replace(SMALL, max_batch=2),))
    images = frames(batch, 6, 11)
    results = setup.open().run(images, ("class_map",))
    np.testing.assert_array_equal(results["class_map"], images.argmax(-1))
    assert setup.trt.batches == parts


def test_the_next_part_is_on_its_way_before_one_is_waited_for(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup(profiles=(SMALL,))
    runner, events = setup.open(), []
    runner.run(frames(1, 8, 8), ("class_map",))
    upload, wait = setup.memory.upload, setup.memory.run_until_idle

    def noted_upload(*arguments: Any) -> None:
        events.append("upload")
        upload(*arguments)

    def noted_wait(**options: Any) -> None:
        events.append("wait")
        wait(**options)

    setup.memory.upload, setup.memory.run_until_idle = noted_upload, noted_wait  # type: ignore[method-assign]
    runner.run(frames(4, 8, 8), ("class_map",))
    assert events == ["upload", "upload", "wait", "upload", "wait", "upload", "wait", "wait"]


def test_many_threads(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup(profiles=(replace(SMALL, max_batch=2), replace(LARGE, max_batch=2)))
    runner = setup.open()

    def segment(seed: int) -> bool:
        images = frames(1 + seed % 5, 8 + seed % 9, 8 + seed % 7, seed)
        return np.array_equal(runner.run(images, ("class_map",))["class_map"], images.argmax(-1))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(segment, range(60)))


def test_closed(setup: Setup) -> None:
    runner = setup.open()
    runner.run(frames(1, 8, 8), ("class_map",))
    runner.close()
    runner.close()
    assert setup.memory.closed
    with pytest.raises(InferenceError, match="the runner is closed"):
        runner.run(frames(1, 8, 8), ("class_map",))


def test_closing_waits_for_calls_under_way(setup: Setup) -> None:
    runner, image = setup.open(), frames(1, 8, 8)
    waiting, go_on = threading.Event(), threading.Event()
    runner.run(image, ("class_map",))
    upload = setup.memory.upload

    def slow_upload(*arguments: Any) -> None:
        waiting.set()
        assert go_on.wait(10)
        upload(*arguments)

    setup.memory.upload = slow_upload  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        under_way = pool.submit(runner.run, image, ("class_map",))
        assert waiting.wait(10)
        closing = pool.submit(runner.close)
        with pytest.raises(TimeoutError):
            closing.result(0.1)
        assert not setup.memory.closed
        go_on.set()
        np.testing.assert_array_equal(under_way.result()["class_map"], image.argmax(-1))
    assert setup.memory.closed
