// fcnrt's Segmenter inside a C++ program: on the program's own buffers, without a copy in either direction.
#pragma once

#include <pybind11/embed.h>
#include <pybind11/numpy.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace fcnrt {

namespace py = pybind11;

/// The Python interpreter. Make one, in main(), before everything else of this file; it must outlive every Segmenter.
class Python {
  public:
    /// Args: `executable` is the python of the environment that fcnrt is installed in.
    explicit Python(const std::string& executable) {
        // Python would start without it, and find no packages.
        if (!std::filesystem::exists(executable)) throw std::runtime_error("there is no Python at " + executable);
        PyConfig config;
        PyConfig_InitPythonConfig(&config);
        config.parse_argv = 0;               // the program's arguments are its own
        config.install_signal_handlers = 0;  // and so is Ctrl-C
        // Python finds the packages of the environment by the place of its executable.
        const PyStatus status = PyConfig_SetBytesString(&config, &config.executable, executable.c_str());
        if (PyStatus_Exception(status)) {
            PyConfig_Clear(&config);
            throw std::runtime_error("Python cannot be started from " + executable);
        }
        interpreter_.emplace(&config);
        if (py::module_::import("importlib.util").attr("find_spec")("fcnrt").is_none())
            throw std::runtime_error("fcnrt is not installed for " + executable + "; give the python of its environment");
        released_.emplace();  // from here on whoever needs the interpreter's lock takes it
    }

  private:
    std::optional<py::scoped_interpreter> interpreter_;
    std::optional<py::gil_scoped_release> released_;
};

/// A loaded network. May be called from several threads at once; the interpreter's lock is not held while it computes.
class Segmenter {
  public:
    /// Opens a model file.
    explicit Segmenter(const std::string& model) {
        const py::gil_scoped_acquire lock;
        translate([&] { segmenter_ = py::module_::import("fcnrt").attr("Segmenter").attr("open")(model); });
    }

    /// Takes over a `Segmenter` that Python code has made.
    explicit Segmenter(py::object segmenter) : segmenter_(std::move(segmenter)) {}

    ~Segmenter() {
        const py::gil_scoped_acquire lock;
        segmenter_ = py::object();  // the last reference: the network's memory is freed
    }

    Segmenter(const Segmenter&) = delete;
    Segmenter& operator=(const Segmenter&) = delete;

    /// Writes the class of every pixel of a frame.
    /// Args: `frame` is uint8 (height, width, 3) in the network's order of channels, `class_map` uint8 (height, width);
    /// both without padding between the rows. Neither is kept after the call.
    void operator()(const std::uint8_t* frame, std::uint8_t* class_map, py::ssize_t height, py::ssize_t width) const {
        // pybind11 would make arrays of its own in their place.
        if (!frame || !class_map) throw std::invalid_argument("the frame and the class map must not be null");
        const py::gil_scoped_acquire lock;
        translate([&] {
            // An array with an owner, here None, is a view; without one, pybind11 would copy.
            const py::array_t<std::uint8_t> image({height, width, py::ssize_t{3}}, frame, py::none());
            const py::array_t<std::uint8_t> classes({height, width}, class_map, py::none());
            segmenter_(image, py::arg("out") = classes);
        });
    }

    /// The model's `ModelSpec` as JSON: class names, order of the channels, palette and more.
    std::string spec_json() const {
        const py::gil_scoped_acquire lock;
        std::string json;
        translate([&] { json = segmenter_.attr("spec").attr("to_json")().cast<std::string>(); });
        return json;
    }

  private:
    /// Runs Python; what it raises becomes a C++ exception with its message, usable without the interpreter's lock.
    template <class Action>
    static void translate(Action&& action) {
        try {
            action();
        } catch (py::error_already_set& error) {
            throw std::runtime_error(py::str(error.value()).cast<std::string>());
        }
    }

    py::object segmenter_;
};

}  // namespace fcnrt
