from __future__ import annotations

from fcnrt.runtime.runners.tensorrt_messages import MessageLog


def test_errors_are_collected_once_and_shortened() -> None:
    log = MessageLog()
    log.add(1, "IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error (no kernel In build at /src/x.cpp:12)")
    log.add(1, "IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error (no kernel In build at /src/x.cpp:12)")
    log.add(1, "Error Code 6: cudaError 35: CUDA driver version is insufficient for CUDA runtime version")
    log.add(2, "a warning")
    log.add(3, "information")
    log.add(0, "internal\n  trouble")
    assert log.take_errors() == "API Usage Error (no kernel); internal trouble"
    assert log.take_errors() == ""
