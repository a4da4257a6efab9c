// Measures what the way through Python adds to a frame: the time of a call from C++, and the part of it that ONNX Runtime
// computes. Prints one JSON object; times are in milliseconds.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>
#include <vector>

#include "segmenter.hpp"

namespace py = pybind11;
using Milliseconds = std::vector<double>;

namespace {

constexpr int kWarmUp = 10;

// A session that notes how long it computes. It is put where fcnrt keeps the real one: there is no other place from
// which the two parts of one and the same call can be seen.
constexpr const char* kTimedSession = R"(
import time
from fcnrt import Segmenter

class TimedSession:
    def __init__(self, session):
        self._session = session
        self.ms = 0.0

    def __getattr__(self, name):
        return getattr(self._session, name)

    def run_with_iobinding(self, *arguments):
        start = time.perf_counter()
        self._session.run_with_iobinding(*arguments)
        self.ms = 1e3 * (time.perf_counter() - start)

def open_timed(model):
    segmenter = Segmenter.open(model, device="cpu")
    segmenter._runner._session = session = TimedSession(segmenter._runner._session)
    return segmenter, session
)";

template <class Action>
double time(Action&& action) {
    const auto start = std::chrono::steady_clock::now();
    action();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// How often another thread gets the interpreter's lock between the start and the end of one call.
template <class Action>
long takes_of_the_lock(Action&& action) {
    std::atomic<bool> finished{false};
    std::atomic<long> takes{0};
    std::thread other([&] {
        while (!finished) {
            const py::gil_scoped_acquire lock;
            ++takes;
        }
    });
    while (takes == 0) std::this_thread::yield();  // it has started
    takes = 0;
    action();
    const long during = takes;
    finished = true;
    other.join();
    return during;
}

void print(const char* name, const Milliseconds& samples) {
    std::printf("\"%s\": [", name);
    for (std::size_t i = 0; i < samples.size(); ++i) std::printf("%s%.4f", i ? ", " : "", samples[i]);
    std::printf("], ");
}

void measure(const char* model, py::ssize_t height, py::ssize_t width, int rounds) {
    constexpr py::ssize_t kLargest = 65535;
    if (height < 1 || width < 1 || height > kLargest || width > kLargest || rounds < 1)
        throw std::invalid_argument("HEIGHT, WIDTH and ROUNDS must be at least 1, a side at most 65535");
    std::vector<std::uint8_t> frame(height * width * 3), class_map(height * width);
    for (std::size_t i = 0; i < frame.size(); ++i) frame[i] = static_cast<std::uint8_t>(i * 31 % 251);

    const fcnrt::Python python(FCNRT_PYTHON);
    std::optional<fcnrt::Segmenter> segment;
    py::object session;
    {
        const py::gil_scoped_acquire lock;
        py::dict names;
        py::exec(kTimedSession, names);
        try {
            const py::tuple opened = names["open_timed"](model);
            segment.emplace(opened[0]);
            session = opened[1];
        } catch (py::error_already_set& error) {
            throw std::runtime_error(py::str(error.value()).cast<std::string>());
        }
    }
    const auto call = [&] { (*segment)(frame.data(), class_map.data(), height, width); };

    Milliseconds whole_ms, computing_ms;
    for (int round = -kWarmUp; round < rounds; ++round) {
        const double whole = time(call);
        if (round < 0) continue;
        whole_ms.push_back(whole);
        const py::gil_scoped_acquire lock;
        computing_ms.push_back(session.attr("ms").cast<double>());
    }
    std::printf("{");
    print("call", whole_ms);
    print("computing", computing_ms);
    std::printf("\"takes_of_the_lock\": %ld}\n", takes_of_the_lock(call));

    const py::gil_scoped_acquire lock;
    session = py::object();
    segment.reset();
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 5) {
        std::fprintf(stderr, "usage: %s MODEL HEIGHT WIDTH ROUNDS\n", arguments[0]);
        return 2;
    }
    try {
        measure(arguments[1], std::atol(arguments[2]), std::atol(arguments[3]), std::atoi(arguments[4]));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    return 0;
}
