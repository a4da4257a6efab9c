// Segments a frame with a TensorRT engine. What TensorRT does not say about it is in the manifest beside the engine.
#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "fcnrt.hpp"

namespace {

class Logger : public nvinfer1::ILogger {
    void log(Severity severity, const char* message) noexcept override {
        if (severity <= Severity::kWARNING) std::fprintf(stderr, "TensorRT: %s\n", message);
    }
};

void check(cudaError_t status) {
    if (status != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

void check(bool success, const char* what) {
    if (!success) throw std::runtime_error(std::string("TensorRT failed to ") + what);
}

struct Release {
    void operator()(void* memory) const { cudaFree(memory); }
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
};

std::unique_ptr<void, Release> allocate(std::size_t bytes) {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes));
    return std::unique_ptr<void, Release>(memory);
}

std::unique_ptr<CUstream_st, Release> make_stream() {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreate(&stream));
    return std::unique_ptr<CUstream_st, Release>(stream);
}

/// The first optimization profile that takes a frame of this size.
int choose_profile(const nvinfer1::ICudaEngine& engine, const nvinfer1::Dims& image) {
    const auto admits = [&](int profile, int axis) {
        const auto limit = [&](auto which) { return engine.getProfileShape("image", profile, which).d[axis]; };
        return limit(nvinfer1::OptProfileSelector::kMIN) <= image.d[axis] &&
               image.d[axis] <= limit(nvinfer1::OptProfileSelector::kMAX);
    };
    for (int profile = 0; profile < engine.getNbOptimizationProfiles(); ++profile)
        if (admits(profile, 1) && admits(profile, 2)) return profile;
    throw std::runtime_error("the frame is outside of every profile of the engine; build it with another --profile");
}

void segment(const std::string& engine_path, const std::string& frame_path, const std::string& class_map_path) {
    const fcnrt::ModelSpec spec(fcnrt::read_text(engine_path + ".json"));
    const std::string plan = fcnrt::read_text(engine_path);
    Logger logger;
    const std::unique_ptr<nvinfer1::IRuntime> runtime(nvinfer1::createInferRuntime(logger));
    check(runtime != nullptr, "start");
    const std::unique_ptr<nvinfer1::ICudaEngine> engine(
        runtime->deserializeCudaEngine(plan.data(), plan.size()));
    check(engine != nullptr, "load the engine; was it built for this GPU with this version?");
    const std::unique_ptr<nvinfer1::IExecutionContext> context(engine->createExecutionContext());
    check(context != nullptr, "make an execution context");

    fcnrt::Picture frame = fcnrt::read_frame(frame_path, spec);
    fcnrt::Picture class_map(frame.height, frame.width, 1);
    const auto gpu_frame = allocate(frame.pixels.size());
    const auto gpu_class_map = allocate(class_map.pixels.size());
    const auto stream = make_stream();
    const nvinfer1::Dims4 shape(1, static_cast<int>(frame.height), static_cast<int>(frame.width), 3);
    check(context->setOptimizationProfileAsync(choose_profile(*engine, shape), stream.get()), "set the profile");
    check(context->setInputShape("image", shape), "set the frame's size");
    check(context->setTensorAddress("image", gpu_frame.get()), "bind the frame");
    check(context->setTensorAddress("class_map", gpu_class_map.get()), "bind the class map");
    // What else the model returns needs a place as well, whether it is read or not.
    std::vector<std::unique_ptr<void, Release>> others;
    for (int index = 0; index < engine->getNbIOTensors(); ++index) {
        const std::string name = engine->getIOTensorName(index);
        if (name == "image" || name == "class_map") continue;
        const nvinfer1::Dims dims = context->getTensorShape(name.c_str());
        std::size_t bytes = sizeof(float);  // the largest type there is
        for (int axis = 0; axis < dims.nbDims; ++axis) bytes *= static_cast<std::size_t>(dims.d[axis]);
        others.push_back(allocate(bytes));
        check(context->setTensorAddress(name.c_str(), others.back().get()), "bind a further output");
    }

    check(cudaMemcpyAsync(gpu_frame.get(), frame.pixels.data(), frame.pixels.size(), cudaMemcpyHostToDevice,
                          stream.get()));
    check(context->enqueueV3(stream.get()), "run");
    check(cudaMemcpyAsync(class_map.pixels.data(), gpu_class_map.get(), class_map.pixels.size(),
                          cudaMemcpyDeviceToHost, stream.get()));
    check(cudaStreamSynchronize(stream.get()));

    fcnrt::print_shares(class_map, spec);
    fcnrt::write_pgm(class_map_path, class_map);
}

}  // namespace

int main(int count, char** arguments) { return fcnrt::run_program(count, arguments, segment); }
