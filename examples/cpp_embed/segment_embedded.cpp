// Segments a frame in two threads at once, each on buffers of its own, through one Segmenter.
#include <cstdio>
#include <exception>
#include <thread>

#include "../cpp/fcnrt.hpp"
#include "segmenter.hpp"

namespace {

void segment(const std::string& model_path, const std::string& frame_path, const std::string& class_map_path) {
    const fcnrt::Python python(FCNRT_PYTHON);
    const fcnrt::Segmenter segmenter(model_path);
    const fcnrt::ModelSpec spec(segmenter.spec_json());
    const fcnrt::Picture frame = fcnrt::read_frame(frame_path, spec);

    fcnrt::Picture class_maps[] = {{frame.height, frame.width, 1}, {frame.height, frame.width, 1}};
    std::exception_ptr failures[2];
    const auto camera = [&](int number) {
        try {
            const fcnrt::Picture own_frame = frame;
            for (int i = 0; i < 3; ++i)
                segmenter(own_frame.pixels.data(), class_maps[number].pixels.data(), frame.height, frame.width);
        } catch (...) {
            failures[number] = std::current_exception();
        }
    };
    std::thread first(camera, 0), second(camera, 1);
    first.join();
    second.join();
    for (const auto& failure : failures)
        if (failure) std::rethrow_exception(failure);

    if (class_maps[0].pixels != class_maps[1].pixels) throw std::runtime_error("the two threads disagree");
    fcnrt::print_shares(class_maps[0], spec);
    fcnrt::write_pgm(class_map_path, class_maps[0]);
}

}  // namespace

int main(int count, char** arguments) { return fcnrt::run_program(count, arguments, segment); }
