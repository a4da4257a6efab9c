from __future__ import annotations

from fcnrt.runtime.runners.tensorrt_messages import MessageLog


def test_errors_are_collected_once_and_shortened() -> None:
    log = MessageLog()
    log.add(1, "IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error (no kernel In build at /src/x.cpp:12)")
    log.add(1, "IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error (no kernel In build at /src/x.cpp:12)")
    log.add(1, "Error Code 6: cudaError 35: CUDA driver version is insufficient for CUDA runtime version")
    log.add(1, "[localCheckMacros.cpp::getErrorStr::132] Error Code 2: OutOfMemory (Requested size was 9 bytes.)")
    log.add(2, "a warning")
    log.add(3, "information")
    log.add(0, "internal\n  trouble")
    assert (
        log.take_errors() == "API Usage Error (no kernel); OutOfMemory (Requested size was 9 bytes.); internal trouble"
    )
    assert log.take_errors() == ""


def test_an_old_driver_is_a_reason_where_there_is_no_other() -> None:
    log = MessageLog()
    log.add(1, "Error Code 1: cudaError 35: CUDA driver version is insufficient for CUDA runtime version")
    assert log.take_errors() == "cudaError 35: CUDA driver version is insufficient for CUDA runtime version"
