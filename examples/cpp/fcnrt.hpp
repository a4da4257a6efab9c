// What the programs of this folder share: pictures without a library, and what a model file says about itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fcnrt {

/// A frame (3 bytes per pixel) or a class map (1 byte per pixel); rows follow each other without padding.
struct Picture {
    std::size_t height, width, channels;
    std::vector<std::uint8_t> pixels;

    Picture(std::size_t height, std::size_t width, std::size_t channels)
        : height(height), width(width), channels(channels), pixels(height * width * channels) {}
};

inline std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Reads a PPM (P6): a line of text, then RGB bytes. `ffmpeg -i photo.jpg photo.ppm` makes one.
inline Picture read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    std::size_t width = 0, height = 0, largest = 0;
    file >> magic >> width >> height >> largest;
    const auto plausible = [](std::size_t length) { return 1 <= length && length <= 65535; };
    if (!file || magic != "P6" || largest != 255 || !plausible(width) || !plausible(height))
        throw std::runtime_error(path + " is not an 8-bit PPM (P6)");
    file.get();  // the one byte between the header and the pixels
    Picture picture(height, width, 3);
    file.read(reinterpret_cast<char*>(picture.pixels.data()), static_cast<std::streamsize>(picture.pixels.size()));
    if (!file) throw std::runtime_error(path + " is cut off");
    return picture;
}

/// Writes a class map as a PGM (P5): a line of text, then one byte per pixel, the index of its class.
inline void write_pgm(const std::string& path, const Picture& class_map) {
    std::ofstream file(path, std::ios::binary);
    file << "P5 " << class_map.width << ' ' << class_map.height << " 255\n";
    file.write(reinterpret_cast<const char*>(class_map.pixels.data()),
               static_cast<std::streamsize>(class_map.pixels.size()));
    if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

/// The part of `ModelSpec` that a caller needs. An ONNX file holds it as metadata under the key `kSpecKey`, the
/// manifest beside an engine under "spec".
struct ModelSpec {
    std::vector<std::string> class_names;  ///< class_names[c] is the name of class c
    std::string channel_order;             ///< "rgb" or "bgr": how the network takes its frames

    explicit ModelSpec(const std::string& json) {
        std::size_t at = value_of(json, "channel_order");
        channel_order = next_string(json, at);
        at = value_of(json, "class_names");
        while ((at = json.find_first_of("\"]", at)) != std::string::npos && json[at] == '"')
            class_names.push_back(next_string(json, at));
    }

  private:
    /// Where the value of a key begins. Quotes inside of strings are escaped: no string can look like a key.
    static std::size_t value_of(const std::string& json, const std::string& key) {
        const std::size_t at = json.find('"' + key + "\":");
        if (at == std::string::npos) throw std::runtime_error("the model's metadata have no " + key);
        return at + key.size() + 3;
    }

    /// The first string after `at`, which moves behind it. fcnrt writes UTF-8 and escapes only what JSON must.
    static std::string next_string(const std::string& json, std::size_t& at) {
        const std::string escapes = "bfnrt", meanings = "\b\f\n\r\t";
        std::string text;
        for (at = json.find('"', at) + 1; json.at(at) != '"'; ++at) {
            char next = json[at];
            if (next == '\\') {
                next = json.at(++at);
                if (const auto known = escapes.find(next); known != std::string::npos) {
                    next = meanings[known];
                } else if (next == 'u') {  // a control character, \u0000 to \u001f
                    next = static_cast<char>(std::stoi(json.substr(at + 1, 4), nullptr, 16));
                    at += 4;
                }
            }
            text += next;
        }
        ++at;
        return text;
    }
};

constexpr const char* kSpecKey = "fcnrt.spec";

/// A frame in the order of channels that the network takes.
inline Picture read_frame(const std::string& path, const ModelSpec& spec) {
    Picture frame = read_ppm(path);
    if (spec.channel_order == "bgr")
        for (std::size_t i = 0; i < frame.pixels.size(); i += 3) std::swap(frame.pixels[i], frame.pixels[i + 2]);
    return frame;
}

/// Prints how much of the picture each class covers, in the order of the classes.
inline void print_shares(const Picture& class_map, const ModelSpec& spec) {
    std::array<std::size_t, 256> counts{};
    for (const std::uint8_t c : class_map.pixels) ++counts[c];
    for (std::size_t c = 0; c < spec.class_names.size(); ++c)
        if (counts[c] > 0)
            std::printf("%5.1f %%  %s\n", 100.0 * static_cast<double>(counts[c]) / class_map.pixels.size(),
                        spec.class_names[c].c_str());
}

/// Runs `program(model, frame, class_map)` on the command line's three arguments; says in one line what went wrong.
template <class Program>
int run_program(int count, char** arguments, Program&& program) {
    if (count != 4) {
        std::fprintf(stderr, "usage: %s MODEL FRAME.ppm CLASS_MAP.pgm\n", arguments[0]);
        return 2;
    }
    try {
        program(arguments[1], arguments[2], arguments[3]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    return 0;
}

}  // namespace fcnrt
