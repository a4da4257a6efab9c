// Segments a frame with OpenVINO. Everything it needs to know comes from the exported file.
#include <openvino/openvino.hpp>

#include "fcnrt.hpp"

namespace {

void segment(const std::string& model_path, const std::string& frame_path, const std::string& class_map_path) {
    ov::Core core;
    const auto model = core.read_model(model_path);
    if (!model->has_rt_info("framework", fcnrt::kSpecKey)) throw std::runtime_error(model_path + " is not from fcnrt");
    const fcnrt::ModelSpec spec(model->get_rt_info<std::string>("framework", fcnrt::kSpecKey));
    // On processors with bfloat16 units OpenVINO would use them unasked; the graph states its precision.
    auto compiled = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = compiled.create_infer_request();

    fcnrt::Picture frame = fcnrt::read_frame(frame_path, spec);
    fcnrt::Picture class_map(frame.height, frame.width, 1);
    // Both tensors are views of the program's own memory: nothing is copied.
    request.set_tensor("image", ov::Tensor(ov::element::u8, {1, frame.height, frame.width, 3}, frame.pixels.data()));
    request.set_tensor("class_map",
                       ov::Tensor(ov::element::u8, {1, frame.height, frame.width}, class_map.pixels.data()));
    request.infer();

    fcnrt::print_shares(class_map, spec);
    fcnrt::write_pgm(class_map_path, class_map);
}

}  // namespace

int main(int count, char** arguments) { return fcnrt::run_program(count, arguments, segment); }
