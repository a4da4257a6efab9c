// Segments a frame with ONNX Runtime. Everything it needs to know comes from the exported file.
#include <onnxruntime_cxx_api.h>

#include "fcnrt.hpp"

namespace {

void segment(const std::string& model_path, const std::string& frame_path, const std::string& class_map_path) {
    Ort::Env env;
    Ort::Session session(env, model_path.c_str(), Ort::SessionOptions());
    Ort::AllocatorWithDefaultOptions allocator;
    const auto text = session.GetModelMetadata().LookupCustomMetadataMapAllocated(fcnrt::kSpecKey, allocator);
    if (!text) throw std::runtime_error(model_path + " is not from fcnrt");
    const fcnrt::ModelSpec spec(text.get());

    fcnrt::Picture frame = fcnrt::read_frame(frame_path, spec);
    fcnrt::Picture class_map(frame.height, frame.width, 1);
    const auto height = static_cast<std::int64_t>(frame.height), width = static_cast<std::int64_t>(frame.width);
    const std::array<std::int64_t, 4> image_shape{1, height, width, 3};
    const std::array<std::int64_t, 3> class_map_shape{1, height, width};
    // Both tensors are views of the program's own memory: nothing is copied.
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    auto image = Ort::Value::CreateTensor<std::uint8_t>(memory, frame.pixels.data(), frame.pixels.size(),
                                                        image_shape.data(), image_shape.size());
    auto classes = Ort::Value::CreateTensor<std::uint8_t>(memory, class_map.pixels.data(), class_map.pixels.size(),
                                                          class_map_shape.data(), class_map_shape.size());
    const char* inputs[] = {"image"};
    const char* outputs[] = {"class_map"};
    session.Run(Ort::RunOptions(), inputs, &image, 1, outputs, &classes, 1);

    fcnrt::print_shares(class_map, spec);
    fcnrt::write_pgm(class_map_path, class_map);
}

}  // namespace

int main(int count, char** arguments) { return fcnrt::run_program(count, arguments, segment); }
