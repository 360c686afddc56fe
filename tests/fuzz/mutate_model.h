// Random changes to the binary files of a run, and new files for a model of other sizes.
#pragma once

#include <limits>

#include "checksums.h"
#include "gpt_weights.h"
#include "model_config.h"
#include "mutate_json.h"

namespace hipgpt::fuzz {

using Json = nlohmann::ordered_json;

/// A parsed safetensors file. Its offsets follow from the sizes of its parts.
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
      result.parts.push_back(
          {name, entry["dtype"], entry["shape"], std::string(file.substr(head + begin, end - begin))});
    }
    return result;
  }

  Json header() const {
    Json header = {{"__metadata__", metadata}};
    uint64_t end = 0;
    for (const Part& p : parts) {
      const uint64_t begin = end;
      end += p.bytes.size();
      header[p.name] = {{"dtype", p.dtype}, {"shape", p.shape}, {"data_offsets", {begin, end}}};
    }
    return header;
  }

  /// Returns the file with this header text and correct checksums.
  std::string with_header(std::string header) const {
    header.resize((header.size() + 8 + 63) / 64 * 64 - 8, ' ');
    const uint64_t length = header.size();
    std::string file(reinterpret_cast<const char*>(&length), sizeof length);
    file += header;
    for (const Part& p : parts) file += p.bytes;
    return with_safetensors_checksums(std::move(file));
  }
  std::string file() const { return with_header(JsonMutator::plain_text(header())); }
};

/// Sets one element, or all elements, to one fp32 value.
inline void change_values(Tensors::Part& part, Random& random) {
  using Limits = std::numeric_limits<float>;
  const float value =
      random.pick(std::array{0.0f, -0.0f, 1.0f, 100.0f, -1e4f, 1e19f, -1e30f, Limits::max(), Limits::lowest(),
                             Limits::denorm_min(), Limits::infinity(), Limits::quiet_NaN()});
  const size_t count = part.bytes.size() / sizeof value;
  if (count == 0) return;
  const size_t one = random.below(count), all = random.chance(50);
  for (size_t i = all ? 0 : one; i < (all ? count : one + 1); ++i)
    std::memcpy(part.bytes.data() + i * sizeof value, &value, sizeof value);
}

/// Makes a change that leaves a valid safetensors file, though perhaps not a valid model.
inline void change_tensors(Tensors& tensors, Random& random) {
  const size_t i = random.below(tensors.parts.size());
  Tensors::Part& part = tensors.parts[i];
  switch (random.below(8)) {
    case 0:
    case 1: return change_values(part, random);
    case 2:  // halves of the old numbers, which are numbers too
      part.dtype = random.pick(std::array{"BF16", "F16"});
      part.bytes.resize(part.bytes.size() / 2);
      return;
    case 3: part.dtype = random.pick(std::array{"I32", "U32", "F64", "F4", "", "f32"}); return;
    case 4: tensors.parts.erase(tensors.parts.begin() + static_cast<std::ptrdiff_t>(i)); return;
    case 5: part.name += random.pick(std::array{"2", ".attn.bias", "\"", "\n", "\xff"}); return;
    case 6:
      tensors.parts.push_back(part);
      tensors.parts.back().name =
          random.pick(std::array{"lm_head.weight", "transformer.h.0.attn.bias", "extra", ""});
      return;
    default:
      std::reverse(part.shape.begin(), part.shape.end());
      if (random.chance(50))
        part.shape.insert(part.shape.begin(), random.pick(std::array<uint64_t, 3>{0, 1, 1ull << 63}));
      if (part.shape[0] == 0) part.bytes.clear();
  }
}

inline std::string change_safetensors(const std::string& file, Random& random) {
  Tensors tensors = Tensors::of(file);
  if (random.chance(50)) change_tensors(tensors, random);
  JsonMutator json(random);
  Json header = tensors.header();
  for (uint64_t n = random.below(3); n > 0; --n)
    json.mutate(random.chance(50) && header.contains("__metadata__") ? header["__metadata__"] : header);
  return tensors.with_header(json.text(header));
}

/// Returns sizes whose files stay below 1 MB and whose run on a text of 2,000 tokens takes well under 5 s.
inline ModelConfig any_config(Random& random, int vocab_size) {
  for (;;) {
    ModelConfig c{.vocab_size = vocab_size};
    c.max_seq_len = random.pick(std::array{1, 2, 3, 8, 100, 1000, 10'000, 100'000});
    c.num_heads = random.pick(std::array{1, 2, 3, 8});
    c.embed_dim = c.num_heads * random.pick(std::array{1, 2, 8, 33});
    c.num_layers = random.pick(std::array{1, 2, 5, 60});
    c.ff_hidden_dim = random.pick(std::array{1, 2, 7, 64, 1000, 20'000});
    c.activation = random.pick(std::array{Activation::kRelu, Activation::kGelu, Activation::kGeluErf});
    c.final_layernorm = random.chance(50);
    c.tied_head = random.chance(50);
    c.head_bias = random.chance(50);
    if (c.parameter_count() < 60'000 && c.num_layers * c.num_heads * std::min(c.max_seq_len, 2000) < 5000)
      return c;
  }
}

/// Adds a tensor of small values for each parameter, with `prefix` before its name.
inline void add_parameters(Tensors& tensors, const ModelConfig& config, const std::string& prefix) {
  Random random(0, 0);
  GPTWeights(config).for_each([&](const std::string& name, const Tensor& tensor, bool) {
    const std::vector<int64_t> shape = tensor.shape();
    Tensors::Part part{prefix + name, "F32", {shape.begin(), shape.end()}, {}};
    for (int64_t i = 0; i < tensor.size(); ++i) {
      const float value = static_cast<float>(random.below(1000)) * 1e-4f;
      part.bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    tensors.parts.push_back(std::move(part));
  });
}

// ---- Token files ----------------------------------------------------------------------------------------

template <typename T>
void put(std::string& bytes, size_t at, T value) {
  if (at + sizeof value <= bytes.size()) std::memcpy(bytes.data() + at, &value, sizeof value);
}

inline uint64_t extreme_bits(Random& random) {
  static constexpr uint64_t kValues[] = {0,          1,
                                         2,          3,
                                         4,          255,
                                         256,        65535,
                                         65536,      65537,
                                         1ull << 24, (1ull << 31) - 1,
                                         1ull << 31, (1ull << 32) - 1,
                                         1ull << 32, 1ull << 62,
                                         1ull << 63, ~0ull};
  return random.pick(kValues);
}

/// Returns ids of `width` bytes. None, some or all of them are near or beyond the end of the vocabulary.
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

/// Changes a tokens.bin, whose format src/data/details.md describes.
inline std::string change_tokens(std::string file, Random& random, uint64_t vocab_size) {
  if (random.chance(60)) {
    const uint64_t vocab =
        random.chance(50)
            ? vocab_size
            : random.pick(std::array<uint64_t, 6>{1, vocab_size + 1, 65536, 65537, 1 << 20, 1ull << 31});
    const uint32_t width = vocab <= 65536 ? 2 : 4;
    const uint64_t count = random.pick(std::array{0, 1, 8, 9, 10, 17, 100, 500, 100'000});
    file = file.substr(0, 72) + any_ids(random, count, width, random.chance(70) ? vocab : vocab_size);
    put<uint32_t>(file, 12, width);
    put<uint64_t>(file, 16, count);
    put<uint64_t>(file, 24, vocab);
  }
  if (random.chance(50)) put<uint64_t>(file, 8 * random.below(9), extreme_bits(random));
  return file;
}

/// Returns a token file of llm.c.
inline std::string any_shard(Random& random, uint64_t vocab_size) {
  const bool wide = random.chance(40);
  const auto count = random.pick(std::array{0, 1, 8, 9, 17, 18, 100, 3000, 100'000});
  std::string file =
      std::string(1024, '\0') + any_ids(random, static_cast<size_t>(count), wide ? 4 : 2, vocab_size);
  put<int32_t>(file, 0, wide ? 20240801 : 20240520);
  put<int32_t>(file, 4, wide ? 7 : 1);
  put<int32_t>(file, 8, count);
  if (random.chance(20))
    put<uint32_t>(file, 4 * random.below(5), static_cast<uint32_t>(extreme_bits(random)));
  return file;
}

/// Truncates or extends the bytes, or flips some of their bits.
inline std::string damage(std::string bytes, Random& random) {
  const uint64_t what = random.below(3);
  if (what == 0 || bytes.empty()) return bytes.substr(0, random.below(bytes.size() + 1));
  if (what == 1) return bytes + std::string(1 + random.below(100), static_cast<char>(random.below(256)));
  for (uint64_t n = 1 + random.below(8); n > 0; --n)
    bytes[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
  return bytes;
}

}  // namespace hipgpt::fuzz
