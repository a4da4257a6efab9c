"""An exported model behind Triton's Python backend; copied into the model repository as ``model.py``.

The server's Python needs fcnrt and ONNX Runtime or TensorRT. Triton 2.51 (24.10) gives empty class maps unless that
Python has NumPy 1; what a server brings along suits it.
"""

from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]

from fcnrt import Segmenter
from fcnrt.runtime.errors import FcnrtError


class TritonPythonModel:
    """What Triton looks for in ``model.py``: one object for each instance of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model onto the device that Triton chose."""
        on_gpu = args["model_instance_kind"] == "GPU"
        device = f"cuda:{args['model_instance_device_id']}" if on_gpu else "cpu"
        folder = Path(args["model_repository"]) / args["model_version"]
        engine = folder / "model.engine"
        self._segment = Segmenter.open(engine if engine.exists() else folder / "model.onnx", device=device)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request: frames uint8 (N, H, W, 3) to a class map uint8 (N, H, W) and what else was asked for."""
        return [self._answer(request) for request in requests]

    def finalize(self) -> None:
        """Free the model."""
        self._segment.close()

    def _answer(self, request: Any) -> Any:
        frames = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        try:
            prediction = self._segment.predict(frames)
        except FcnrtError as exc:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(exc)))
        names = request.requested_output_names()
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, getattr(prediction, name)) for name in names])
