// The binary files of a run changed at random, or made anew for a model of other sizes: safetensors files taken
// apart and put together again, and files of token ids.
#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <optional>

#include "checksums.h"
#include "model_config.h"
#include "mutate_json.h"

namespace hipgpt::fuzz {

using Json = nlohmann::ordered_json;

/// A safetensors file whose offsets follow from its tensors.
struct Tensors {
  struct Part {
    std::string name, dtype;
    std::vector<uint64_t> shape;
    std::string bytes;
  };
  Json metadata = Json::object();
  std::vector<Part> parts;

  static Tensors of(std::string_view file) {
    Tensors result;
    const size_t head = head_bytes(file);
    const Json header = Json::parse(file.substr(sizeof(uint64_t), head - sizeof(uint64_t)));
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        result.metadata = entry;
        continue;
      }
      const uint64_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
      result.parts.push_back({name, entry["dtype"], entry["shape"], std::string(file.substr(head + begin, end - begin))});
    }
    return result;
  }

  Json header() const {
    std::string text = "{\"__metadata__\":" + metadata.dump(-1, ' ', false, Json::error_handler_t::replace);
    uint64_t end = 0;
    for (const Part& p : parts) {
      const uint64_t begin = end;
      end += p.bytes.size();
      text += "," + Json(p.name).dump(-1, ' ', false, Json::error_handler_t::replace) + ":" +
              Json{{"dtype", p.dtype}, {"shape", p.shape}, {"data_offsets", {begin, end}}}.dump();
    }
    return Json::parse(text + "}");  // to insert the members one by one would take the square of their number
  }

  std::string data() const {
    std::string all;
    for (const Part& p : parts) all += p.bytes;
    return all;
  }
};

/// Length, header, spaces up to a multiple of 64, and data, with right checksums.
inline std::string safetensors_file(std::string header, const std::string& data) {
  header.resize((header.size() + 8 + 63) / 64 * 64 - 8, ' ');
  const uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return with_safetensors_checksums(file + header + data);
}

inline std::string safetensors_file(const Tensors& tensors) {
  return safetensors_file(tensors.header().dump(), tensors.data());
}

inline float strange_float(Random& random) {
  using Limits = std::numeric_limits<float>;
  static constexpr float kValues[] = {0.0f, -0.0f, 1.0f, 100.0f, -1e4f, 1e10f, 1e19f, -1e30f, 3e38f, Limits::max(),
                                      Limits::lowest(), Limits::denorm_min(), Limits::infinity(), Limits::quiet_NaN()};
  return random.pick(kValues);
}

/// Sets an element, or all, to one value.
inline void change_values(Tensors::Part& part, Random& random) {
  const float value = strange_float(random);
  const size_t count = part.bytes.size() / sizeof value;
  if (count == 0) return;
  const size_t first = random.chance(50) ? 0 : random.below(count), last = first == 0 ? count : first + 1;
  for (size_t i = first; i < last; ++i) std::memcpy(part.bytes.data() + i * sizeof value, &value, sizeof value);
}

/// The upper halves of fp32 are BF16, and as F16 they are some numbers too.
inline void narrow(Tensors::Part& part, const char* dtype) {
  std::string halves;
  for (size_t i = 0; i + 4 <= part.bytes.size(); i += 4) halves += part.bytes.substr(i + 2, 2);
  part.dtype = dtype;
  part.bytes = halves;
}

/// One change that leaves a sound safetensors file, though perhaps of no model.
inline void change_tensors(Tensors& tensors, Random& random) {
  if (tensors.parts.empty()) return;
  Tensors::Part& part = tensors.parts[random.below(tensors.parts.size())];
  switch (random.below(9)) {
    case 0:
    case 1: change_values(part, random); return;
    case 2: narrow(part, random.chance(50) ? "BF16" : "F16"); return;
    case 3: part.dtype = random.pick(std::array{"I32", "U32", "F64", "C64", "F4", "", "f32"}); return;
    case 4: tensors.parts.erase(tensors.parts.begin() + (&part - tensors.parts.data())); return;
    case 5: part.name += random.pick(std::array{"", "2", ".attn.bias", "\"", "\n", "\xff"}); return;
    case 6: {
      Tensors::Part another = part;
      another.name = random.pick(std::array{"lm_head.weight", "transformer.h.0.attn.bias", "extra", ""});
      tensors.parts.push_back(another);
      return;
    }
    case 7: std::reverse(part.shape.begin(), part.shape.end()); return;
    case 8:
      if (random.chance(50)) part.shape.insert(part.shape.begin(), random.pick(std::array<uint64_t, 3>{0, 1, 1ull << 63}));
      else part.shape.clear();
      if (!part.shape.empty() && part.shape[0] == 0) part.bytes.clear();
  }
}

inline std::string change_safetensors(const std::string& file, Random& random) {
  Tensors tensors = Tensors::of(file);
  JsonMutator json(random);
  if (random.chance(50)) change_tensors(tensors, random);
  Json header = tensors.header();
  for (uint64_t n = random.below(3); n > 0; --n) {
    json.mutate(random.chance(50) && header.contains("__metadata__") ? header["__metadata__"] : header);
  }
  return safetensors_file(json.text(header), tensors.data());
}

/// Sizes that fit into files of less than 1 MB, with V tokens.
inline ModelConfig any_config(Random& random, int vocab_size) {
  for (;;) {
    ModelConfig c;
    c.vocab_size = vocab_size;
    c.max_seq_len = random.pick(std::array{1, 2, 3, 8, 100, 1000, 10'000, 100'000});
    c.num_heads = random.pick(std::array{1, 1, 2, 3, 8});
    c.embed_dim = c.num_heads * random.pick(std::array{1, 2, 8, 33});
    c.num_layers = random.pick(std::array{1, 1, 2, 5, 60});
    c.ff_hidden_dim = random.pick(std::array{1, 2, 7, 64, 1000, 20'000});
    c.activation = random.chance(50) ? Activation::kRelu : Activation::kGelu;
    c.final_layernorm = random.chance(50);
    c.tied_head = random.chance(50);
    c.head_bias = random.chance(50);
    if (c.parameter_count() < 60'000) return c;
  }
}

/// A tensor for each parameter, named with `prefix`, of small values.
inline void add_parameters(Tensors& tensors, const ModelConfig& config, const std::string& prefix) {
  uint32_t bits = 1;
  for (const ParameterInfo& info : ParameterLayout(config).tensors) {
    Tensors::Part part{prefix + info.name, "F32", {info.shape.begin(), info.shape.end()}, {}};
    for (int64_t i = 0; i < info.size; ++i) {
      bits = bits * 1664525u + 1013904223u;
      const float value = static_cast<float>(bits >> 8) / static_cast<float>(1 << 24) * 0.1f;
      part.bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    tensors.parts.push_back(std::move(part));
  }
}

// ---- Token files ----------------------------------------------------------------------------------------

template <typename T>
void put(std::string& bytes, size_t at, T value) {
  if (at + sizeof value <= bytes.size()) std::memcpy(bytes.data() + at, &value, sizeof value);
}

template <typename T>
T get(const std::string& bytes, size_t at) {
  T value{};
  if (at + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

inline uint64_t extreme_bits(Random& random) {
  static constexpr uint64_t kValues[] = {0, 1, 2, 3, 4, 255, 256, 65535, 65536, 65537, 1ull << 24, (1ull << 31) - 1,
                                         1ull << 31, (1ull << 32) - 1, 1ull << 32, 1ull << 62, 1ull << 63, ~0ull};
  return random.pick(kValues);
}

/// Ids of any width, some of them at or over the end of a vocabulary of V tokens.
inline std::string any_ids(Random& random, size_t count, size_t width, uint64_t vocab_size) {
  const uint64_t strange = random.chance(50) ? vocab_size - 1 + random.below(3) : extreme_bits(random);
  const uint64_t percent = random.pick(std::array{0, 0, 1, 20, 100});
  std::string ids(count * width, '\0');
  for (size_t i = 0; i < count; ++i) {
    const uint64_t id = random.chance(percent) ? strange : random.below(vocab_size);
    std::memcpy(ids.data() + i * width, &id, width);
  }
  return ids;
}

/// Another tokens.bin for a text of `vocab_size` tokens.
inline std::string change_tokens(std::string file, Random& random, uint64_t vocab_size) {
  constexpr size_t kHeader = 72, kWidth = 12, kCount = 16, kVocab = 24;
  if (random.chance(60)) {
    const uint64_t vocab = random.chance(50) ? vocab_size : random.pick(std::array<uint64_t, 6>{
                                                                1, 65536, 65537, 1 << 20, 1ull << 31, vocab_size + 1});
    const uint32_t width = vocab <= 65536 ? 2 : 4;
    const uint64_t count = random.pick(std::array{0, 1, 2, 8, 9, 10, 17, 100, 500, 100'000});
    file = file.substr(0, kHeader) + any_ids(random, count, width, random.chance(70) ? vocab : vocab_size);
    put<uint32_t>(file, kWidth, width);
    put<uint64_t>(file, kCount, count);
    put<uint64_t>(file, kVocab, vocab);
  }
  if (random.chance(50)) put<uint64_t>(file, 8 * random.below(9), extreme_bits(random));
  return file;
}

/// Another token file of llm.c.
inline std::string change_shard(Random& random, uint64_t vocab_size) {
  const bool wide = random.chance(40);
  const auto count = random.pick(std::array{0, 1, 8, 9, 17, 18, 100, 3000, 100'000});
  std::string file(1024, '\0');
  put<int32_t>(file, 0, wide ? 20240801 : 20240520);
  put<int32_t>(file, 4, wide ? 7 : 1);
  put<int32_t>(file, 8, count);
  file += any_ids(random, static_cast<size_t>(count), wide ? 4 : 2, vocab_size);
  if (random.chance(20)) put<uint32_t>(file, 4 * random.below(5), static_cast<uint32_t>(extreme_bits(random)));
  return file;
}

/// Cut off, prolonged, or some bytes of it changed.
inline std::string damage(std::string bytes, Random& random) {
  switch (random.below(3)) {
    case 0: return bytes.substr(0, random.below(bytes.size() + 1));
    case 1: return bytes + std::string(1 + random.below(100), static_cast<char>(random.below(256)));
    default:
      for (uint64_t n = 1 + random.below(8); n > 0 && !bytes.empty(); --n)
        bytes[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
      return bytes;
  }
}

}  // namespace hipgpt::fuzz
