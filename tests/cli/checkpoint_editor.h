// A checkpoint that a test can change and save again. It is saved without checksums, so that a reader has to
// check its contents.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/program.h"

namespace hipgpt {

struct EditableCheckpoint {
  struct Part {
    std::string name, dtype;
    std::vector<uint64_t> shape;
    std::string bytes;
  };

  std::map<std::string, std::string> metadata;
  std::vector<Part> parts;

  explicit EditableCheckpoint(const fs::path& path) {
    const std::string file = read_file(path);
    uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof(length));
    auto header = nlohmann::ordered_json::parse(file.substr(sizeof(length), length));
    metadata = header["__metadata__"];
    metadata.erase("checksum");
    metadata.erase("header_checksum");
    header.erase("__metadata__");
    const std::string data = file.substr(sizeof(length) + length);
    for (const auto& [name, entry] : header.items()) {
      const uint64_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
      parts.push_back({name, entry["dtype"], entry["shape"], data.substr(begin, end - begin)});
    }
  }

  Part& part(const std::string& name) {
    const auto found =
        std::find_if(parts.begin(), parts.end(), [&](const Part& p) { return p.name == name; });
    if (found == parts.end()) throw std::runtime_error("no tensor " + name);
    return *found;
  }

  void set_value(const std::string& name, size_t i, float value) {
    std::memcpy(part(name).bytes.data() + i * sizeof(float), &value, sizeof(float));
  }

  void save(const fs::path& path) const {
    nlohmann::ordered_json header;
    header["__metadata__"] = metadata;
    std::string data;
    for (const Part& p : parts) {
      const size_t begin = data.size();
      data += p.bytes;
      header[p.name] = {{"dtype", p.dtype}, {"shape", p.shape}, {"data_offsets", {begin, data.size()}}};
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const uint64_t length = text.size();
    std::string file(sizeof(length), '\0');
    std::memcpy(file.data(), &length, sizeof(length));
    write_file(path, file + text + data);
  }
};

}  // namespace hipgpt
