// The safetensors layout: named tensors, with a JSON header that says where each one is.
// src/checkpoint/README.md shows it byte by byte. Nothing here knows what the tensors are for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hipgpt {

class MappedFile;

/// A tensor in a file, or one to be written to a file. It does not own its bytes: they belong to the
/// SafetensorsFile it came from, or to the caller of write_safetensors().
struct SafetensorsTensor {
  std::string name;
  std::string dtype;  // "F32", "BF16", "I64", "U8", ... in the format's own spelling
  std::vector<uint64_t> shape;
  std::span<const std::byte> bytes;  // row-major, little-endian; aligned for its dtype in files written here
};

/// A safetensors file opened for reading. Copies share the mapping.
class SafetensorsFile {
 public:
  /// Maps a file and checks it: first sizes and bounds, then the checksums, if the file has them.
  static SafetensorsFile open(const std::string& path);

  const std::string& path() const { return path_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// The tensors, in the order of their bytes in the file.
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }

  /// The tensor with this name. Throws Error if there is none; find() returns null instead.
  const SafetensorsTensor& tensor(std::string_view name) const;
  const SafetensorsTensor* find(std::string_view name) const;

  /// Releases the memory of a tensor's bytes, or of some of them. They are read from the file again if touched.
  void forget(const SafetensorsTensor& tensor) const;
  void forget(std::span<const std::byte> bytes) const;

  /// True for files written by HipGPT, of which open() has checked every bit. Other programs write no
  /// checksum.
  bool has_checksum() const { return has_checksum_; }

  /// The checksum of the tensors' bytes, from the metadata; empty if there is none.
  std::string checksum() const;

 private:
  SafetensorsFile() = default;

  std::string path_;
  std::shared_ptr<const MappedFile> mapping_;  // keeps the file in memory
  std::map<std::string, std::string> metadata_;
  std::vector<SafetensorsTensor> tensors_;
  std::map<std::string, size_t, std::less<>> index_;  // name -> index in tensors_
  bool has_checksum_ = false;
};

/// The metadata alone. Reads only the header of the file.
std::map<std::string, std::string> read_safetensors_metadata(const std::string& path);

/// Writes a file that any safetensors reader opens and replaces `path` atomically. Tensors with wider
/// elements come first, so that all are aligned; otherwise the tensors keep their order. "format" (unless
/// given), "checksum" and "header_checksum" are added to the metadata.
void write_safetensors(const std::string& path, std::span<const SafetensorsTensor> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace hipgpt
