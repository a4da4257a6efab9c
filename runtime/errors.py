"""Every error fcnrt raises on purpose.

::

    FcnrtError
    ├── MissingDependencyError (ImportError)   an optional package is needed and not installed
    ├── ModelFileError         (ValueError)    a model file is unreadable, truncated or not written by fcnrt
    │   └── EngineMismatchError                an engine was built for another machine or from another model
    ├── EngineBuildError       (RuntimeError)  TensorRT could not build an engine
    ├── FrameError             (ValueError)    an array handed to the segmenter has the wrong dtype, shape or layout
    ├── DeviceError            (RuntimeError)  the device that was asked for cannot be had
    ├── InferenceError         (RuntimeError)  a backend failed while running
    ├── SourceError            (ValueError)    an image, folder, video or camera cannot be read
    ├── OutputError            (OSError)       a result cannot be written
    ├── CheckpointError        (ValueError)    weights are unreadable, unsafe, of an unknown layout or do not fit
    ├── DownloadError          (OSError)       a file could not be downloaded or its hash is wrong
    ├── DatasetError           (ValueError)    a data set is incomplete or malformed
    ├── TrainingError          (RuntimeError)  a training cannot begin or go on
    └── ParityError            (RuntimeError)  an exported graph disagrees with its PyTorch module

Each class also inherits the builtin exception that a caller would expect. A message says what was wrong, what was
given, what is allowed and what to do; the command line prints it as one line and exits with code 1.
"""

from __future__ import annotations


class FcnrtError(Exception):
    """Base class of all errors raised by fcnrt."""


class MissingDependencyError(FcnrtError, ImportError):
    """An optional package is needed and not installed."""


class ModelFileError(FcnrtError, ValueError):
    """A model file is unreadable, truncated or was not written by fcnrt."""


class EngineMismatchError(ModelFileError):
    """An engine is damaged, or was built for another machine or from another model: it has to be built again."""


class EngineBuildError(FcnrtError, RuntimeError):
    """TensorRT could not build an engine, or not the one that was asked for."""


class FrameError(FcnrtError, ValueError):
    """An array handed to the segmenter has the wrong dtype, shape or memory layout."""


class DeviceError(FcnrtError, RuntimeError):
    """The device that was asked for cannot be had."""


class InferenceError(FcnrtError, RuntimeError):
    """A backend failed while running."""


class SourceError(FcnrtError, ValueError):
    """An image, folder, video or camera cannot be read."""


class OutputError(FcnrtError, OSError):
    """A result cannot be written."""


class CheckpointError(FcnrtError, ValueError):
    """Weights are unreadable, unsafe, of an unknown layout or do not fit the network."""


class OtherNetworkError(CheckpointError):
    """Weights are those of another network than was asked for."""


class DownloadError(FcnrtError, OSError):
    """A file could not be downloaded, or its hash is not the published one."""


class DatasetError(FcnrtError, ValueError):
    """A data set is incomplete or malformed."""


class TrainingError(FcnrtError, RuntimeError):
    """A training cannot begin or go on: its loss is no number, memory is short, or it does not fit what is there."""


class ParityError(FcnrtError, RuntimeError):
    """An exported graph disagrees with the PyTorch module it was made from."""
