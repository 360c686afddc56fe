#include "safetensors_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <optional>
#include <set>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "checkpoint/write_checkpoint.h"
#include "error.h"
#include "util/atomic_file.h"
#include "util/json.h"
#include "util/lfs_pointer.h"
#include "util/mapped_file.h"
#include "util/name_errors.h"
#include "util/number_text.h"
#include "util/utf8_stream.h"

namespace hipgpt {
namespace {

using Metadata = std::map<std::string, std::string>;

static_assert(std::endian::native == std::endian::little,
              "tensors are little-endian and copied without conversion");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kLargestHeader = 100'000'000;  // the format's own limit
constexpr uint64_t kDataAlignment = 64;  // a cache line, and the alignment of the widest vector loads
constexpr const char* kMetadataKey = "__metadata__";
constexpr const char* kChecksumKey = "checksum";
constexpr const char* kHeaderChecksumKey = "header_checksum";

[[noreturn]] void fail(const std::string& path, const std::string& fault,
                       const char* remedy = "use an intact copy") {
  throw Error(fmt::format("{}: {}; {}", path, fault, remedy));
}

/// Returns the bytes per element, or 0 for an unknown dtype.
uint64_t element_bytes(std::string_view dtype) {
  static const std::map<std::string_view, uint64_t> kSizes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
      {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},     {"I32", 4},
      {"F32", 4},  {"U64", 8}, {"I64", 8}, {"F64", 8},     {"C64", 8}};
  const auto found = kSizes.find(dtype);
  return found == kSizes.end() ? 0 : found->second;
}

/// Returns the bytes that a shape takes, or nullopt if the number exceeds 64 bits.
std::optional<uint64_t> tensor_bytes(const std::vector<uint64_t>& shape, uint64_t element_size) {
  uint64_t bytes = element_size;
  for (const uint64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
  }
  return bytes;
}

// ---- Checksums ------------------------------------------------------------------------------------------
// "checksum" covers the bytes of the tensors. "header_checksum" covers everything before them, including the
// eight bytes of the length, with its own sixteen digits taken as zeros. A file has both or neither, so a
// file with a damaged key cannot pass for one without checksums.

std::string checksum_text(uint64_t hash) {
  return fmt::format("xxh3-64:{:016x}", hash);
}

/// The checksum of a file's bytes from `first` on. Releases their memory as it goes.
std::string data_checksum(const MappedFile& file, size_t first) {
  constexpr size_t kPart = size_t{16} << 20;
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (const std::string_view all = file.text(); first < all.size(); first += kPart) {
    const std::string_view part = all.substr(first, kPart);
    XXH3_64bits_update(&state, part.data(), part.size());
    file.forget(part);
  }
  return checksum_text(XXH3_64bits_digest(&state));
}

std::string header_checksum_entry(std::string_view checksum) {
  return fmt::format("\"{}\":\"{}\"", kHeaderChecksumKey, checksum);
}

/// Computes the checksum of `head` (length and header), in which the checksum field holds `written`.
std::string header_checksum(std::string_view head, std::string_view written) {
  std::string zeroed(head);
  const std::string zeros = checksum_text(0);
  const size_t at = zeroed.find(header_checksum_entry(written));
  if (at != std::string::npos && written.size() == zeros.size()) {
    zeroed.replace(at, header_checksum_entry(zeros).size(), header_checksum_entry(zeros));
  }
  return checksum_text(XXH3_64bits(zeroed.data(), zeroed.size()));
}

/// Returns whether the file has checksums. Throws Error if they do not match.
bool check_checksums(const std::string& path, std::string_view head, const MappedFile& file,
                     const Metadata& metadata) {
  const auto of_data = metadata.find(kChecksumKey);
  const auto of_header = metadata.find(kHeaderChecksumKey);
  if (of_data == metadata.end() && of_header == metadata.end()) return false;
  const char* remedy =
      "use an intact copy; if another program changed the file on purpose, that program must "
      "remove checksum and header_checksum from the metadata";
  if (of_data == metadata.end() || of_header == metadata.end()) {
    fail(path, "damaged (it has only one of its two checksums)", remedy);
  }
  if (header_checksum(head, of_header->second) != of_header->second) {
    fail(path, "damaged (checksum of the header does not match)", remedy);
  }
  if (data_checksum(file, head.size()) != of_data->second) {
    fail(path, "damaged (checksum of the tensors does not match the header)", remedy);
  }
  return true;
}

// ---- Reading --------------------------------------------------------------------------------------------

/// Throws Error if the bytes begin like a file that people name in place of a safetensors file.
void refuse_other_models(const std::string& path, std::string_view bytes) {
  constexpr const char* kConvert =
      "save_pretrained() of transformers makes a folder with model.safetensors: name that folder";
  const auto begins = [&](std::string_view magic) { return bytes.starts_with(magic); };
  const bool pickle = bytes.size() > 1 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
  if (pickle || begins("PK\3\4")) fail(path, "is a file of PyTorch's torch.save()", kConvert);
  if (begins("\x89HDF")) fail(path, "is an HDF5 file", kConvert);
  if (begins("GGUF"))
    fail(path, "is a GGUF model, which HipGPT does not read", "name the folder it was made from");
  if (begins("{")) fail(path, "is a JSON file without weights", "name the folder of the model");
}

/// Returns the length of the JSON header, which must fit in the file.
uint64_t read_header_length(const std::string& path, std::span<const std::byte> bytes) {
  if (bytes.empty()) fail(path, "empty file");
  if (bytes.size() < kLengthBytes) fail(path, "not a safetensors file (too short)");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  name_errors(path, [&] { refuse_lfs_pointer(text); });
  uint64_t length;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  const bool plausible = length >= 2 && length <= kLargestHeader;
  if (!plausible) refuse_other_models(path, text);
  if (!plausible) fail(path, fmt::format("not a safetensors file (a header of {})", counted(length, "byte")));
  if (length > bytes.size() - kLengthBytes) {
    fail(path, fmt::format("truncated, or not a safetensors file (it ends before its header of {})",
                           counted(length, "byte")));
  }
  return length;
}

/// Parses the header. No key may occur twice, so that every reader sees the same values.
JsonValue parse_header(const std::string& path, std::string_view header) {
  if (header.front() != '{') fail(path, "not a safetensors file (its header is not a JSON object)");
  try {
    return parse_json_with_unique_keys(header);
  } catch (const Error& error) {
    fail(path, fmt::format("damaged, or not a safetensors file (its header {})", error.what()));
  }
}

Metadata read_metadata(const std::string& path, const JsonValue& header) {
  Metadata metadata;
  const JsonValue* entry = header.find(kMetadataKey);
  if (entry == nullptr) return metadata;
  if (!entry->is_object()) fail(path, "damaged (its metadata is not a JSON object)");
  for (const auto& [key, value] : entry->members()) {
    if (!value.is_string())
      fail(path, fmt::format("damaged (the value of metadata {} is not a string)", json_quoted(key)));
    metadata[key] = value.as_string();
  }
  return metadata;
}

bool is_list_of_sizes(const JsonValue& value) {
  return value.is_array() && std::ranges::all_of(value.items(), &JsonValue::is_count);
}

SafetensorsTensor read_tensor(const std::string& path, const std::string& name, const JsonValue& entry,
                              std::span<const std::byte> data) {
  const auto fail_here = [&](const std::string& fault) {
    fail(path, fmt::format("tensor {} {}", json_quoted(name), fault));
  };
  const JsonValue& offsets = entry["data_offsets"];
  const bool well_formed = entry.is_object() && entry.members().size() == 3 && entry["dtype"].is_string() &&
                           is_list_of_sizes(entry["shape"]) && is_list_of_sizes(offsets) &&
                           offsets.items().size() == 2;
  if (!well_formed) fail_here("is damaged (it needs a dtype, a shape and two data_offsets)");

  const std::string& dtype = entry["dtype"].as_string();
  std::vector<uint64_t> shape;
  for (const JsonValue& extent : entry["shape"].items()) shape.push_back(extent.as_count());
  const uint64_t begin = offsets.items()[0].as_count(), end = offsets.items()[1].as_count();
  if (element_bytes(dtype) == 0) fail_here(fmt::format("has the unknown dtype {}", json_quoted(dtype)));
  if (begin > end) fail_here("is damaged (it ends before it begins)");
  if (end > data.size()) fail_here("is truncated (it ends after the end of the file)");
  const std::optional<uint64_t> needed = tensor_bytes(shape, element_bytes(dtype));
  if (!needed || *needed != end - begin) {
    fail_here(fmt::format("is damaged (its shape and dtype do not take the {} it has)",
                          counted(end - begin, "byte")));
  }
  return {name, dtype, shape, data.subspan(begin, end - begin)};
}

/// Returns the tensors in the order of their bytes. Each byte must belong to exactly one tensor.
std::vector<SafetensorsTensor> read_tensors(const std::string& path, const JsonValue& header,
                                            std::span<const std::byte> data) {
  std::vector<SafetensorsTensor> tensors;
  for (const auto& [name, entry] : header.members()) {
    if (name != kMetadataKey) tensors.push_back(read_tensor(path, name, entry, data));
  }
  // Sorts by size too: an empty tensor precedes the tensor that begins at the same place.
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    const auto key = [](const auto& t) { return std::pair(t.bytes.data(), t.bytes.size()); };
    return key(a) < key(b);
  });
  const std::byte* position = data.data();
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.bytes.data() < position)
      fail(path, fmt::format("tensor {} overlaps another one", json_quoted(tensor.name)));
    if (tensor.bytes.data() > position)
      fail(path, fmt::format("damaged (a gap before tensor {})", json_quoted(tensor.name)));
    position += tensor.bytes.size();
  }
  const auto extra = data.data() + data.size() - position;
  if (extra > 0) fail(path, fmt::format("damaged ({} after the last tensor)", counted(extra, "byte")));
  return tensors;
}

// ---- Writing --------------------------------------------------------------------------------------------

void check_writable(const std::string& path, std::span<const SafetensorsTensor> tensors) {
  std::set<std::string_view> names;
  for (const SafetensorsTensor& tensor : tensors) {
    const auto fail_here = [&](const char* fault, const char* remedy) {
      fail(path, fmt::format("cannot be written: tensor {} {}", json_quoted(tensor.name), fault), remedy);
    };
    if (tensor.name == kMetadataKey) fail_here("has a reserved name", "choose another one");
    if (!names.insert(tensor.name).second) fail_here("is given twice", "give each tensor a different name");
    const uint64_t size = element_bytes(tensor.dtype);
    if (size == 0) fail_here("has an unknown dtype", "use a known one, such as F32");
    if (tensor_bytes(tensor.shape, size) != tensor.bytes.size()) {
      fail_here("has more or fewer bytes than its shape and dtype take", "make them agree");
    }
  }
}

std::vector<SafetensorsTensor> in_file_order(std::span<const SafetensorsTensor> tensors) {
  std::vector<SafetensorsTensor> sorted(tensors.begin(), tensors.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return element_bytes(a.dtype) > element_bytes(b.dtype);
  });
  return sorted;
}

std::string tensors_checksum(const std::vector<SafetensorsTensor>& tensors) {
  XXH3_state_t hash;
  XXH3_64bits_reset(&hash);
  for (const SafetensorsTensor& tensor : tensors)
    XXH3_64bits_update(&hash, tensor.bytes.data(), tensor.bytes.size());
  return checksum_text(XXH3_64bits_digest(&hash));
}

/// Returns the JSON header, with the tensors in file order.
std::string header_text(const std::string& path, const std::vector<SafetensorsTensor>& tensors,
                        const Metadata& metadata) {
  const auto utf8 = [&](const std::string& text) {
    if (valid_utf8(text) == text) return text;
    fail(path, "cannot be written: a name or a piece of metadata is not UTF-8", "JSON holds UTF-8 only");
  };
  JsonValue::Object entries;
  for (const auto& [key, value] : metadata) entries.push_back({utf8(key), utf8(value)});
  JsonValue::Object header = {{kMetadataKey, std::move(entries)}};
  uint64_t position = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    const uint64_t end = position + tensor.bytes.size();
    header.push_back({utf8(tensor.name),
                      {{"dtype", tensor.dtype},
                       {"shape", tensor.shape},
                       {"data_offsets", JsonValue::Array{position, end}}}});
    position = end;
  }
  return JsonValue(std::move(header)).dump();
}

/// Returns everything before the tensors: the length, the header and the spaces that align the tensors.
std::string file_head(const std::string& path, const std::vector<SafetensorsTensor>& tensors,
                      const std::string& data_checksum, Metadata metadata) {
  metadata.emplace("format", "pt");  // some readers require it
  metadata[kChecksumKey] = data_checksum;
  metadata[kHeaderChecksumKey] = checksum_text(0);
  std::string header = header_text(path, tensors, metadata);
  header.resize(
      (header.size() + kLengthBytes + kDataAlignment - 1) / kDataAlignment * kDataAlignment - kLengthBytes,
      ' ');
  const uint64_t length = header.size();
  if (length > kLargestHeader) {
    fail(path, fmt::format("cannot be written: a header of {} bytes", length),
         "the format allows 100 million");
  }
  std::string head(kLengthBytes, '\0');
  std::memcpy(head.data(), &length, kLengthBytes);
  head += header;

  const std::string entry = header_checksum_entry(checksum_text(0));
  const std::string checksum = header_checksum(head, checksum_text(0));
  return head.replace(head.find(entry), entry.size(), header_checksum_entry(checksum));
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  const auto file = std::make_shared<MappedFile>(path, MappedFile::Access::kSequential);
  const uint64_t length = read_header_length(path, file->bytes());
  const std::string_view head = file->text().substr(0, kLengthBytes + length);
  const std::span<const std::byte> data = file->bytes().subspan(head.size());
  const JsonValue header = parse_header(path, head.substr(kLengthBytes));

  SafetensorsFile result;
  result.path_ = path;
  result.mapping_ = file;
  result.metadata_ = read_metadata(path, header);
  result.tensors_ = read_tensors(path, header, data);
  result.has_checksum_ = check_checksums(path, head, *file, result.metadata_);
  for (size_t i = 0; i < result.tensors_.size(); ++i) result.index_[result.tensors_[i].name] = i;
  return result;
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const SafetensorsTensor& SafetensorsFile::tensor(std::string_view name) const {
  const SafetensorsTensor* found = find(name);
  if (found == nullptr) {
    fail(path_, fmt::format("has no tensor {} among its {}", json_quoted(name), tensors_.size()),
         "use a file of the requested model");
  }
  return *found;
}

void SafetensorsFile::forget(const SafetensorsTensor& tensor) const {
  forget(tensor.bytes);
}

void SafetensorsFile::forget(std::span<const std::byte> bytes) const {
  mapping_->forget({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string SafetensorsFile::checksum() const {
  return has_checksum_ ? metadata_.at(kChecksumKey) : "";
}

Metadata read_safetensors_metadata(const std::string& path) {
  const MappedFile file(path, MappedFile::Access::kRandom);
  const uint64_t length = read_header_length(path, file.bytes());
  return read_metadata(path, parse_header(path, file.text().substr(kLengthBytes, length)));
}

std::string write_safetensors(AtomicFile& file, std::span<const SafetensorsTensor> tensors,
                              const Metadata& metadata) {
  check_writable(file.path(), tensors);
  const std::vector<SafetensorsTensor> sorted = in_file_order(tensors);
  const std::string checksum = tensors_checksum(sorted);
  file.write(file_head(file.path(), sorted, checksum, metadata));
  for (const SafetensorsTensor& tensor : sorted) file.write(tensor.bytes);
  return checksum;
}

void write_safetensors(const std::string& path, std::span<const SafetensorsTensor> tensors,
                       const Metadata& metadata) {
  AtomicFile file(path);
  write_safetensors(file, tensors, metadata);
  file.commit();
}

}  // namespace hipgpt
