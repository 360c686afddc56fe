// EventFile: writes numbers and texts of a run to a file that TensorBoard reads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "util/append_file.h"

namespace hipgpt {

/// Events are protocol buffers (tensorflow/core/util/event.proto) in TFRecord frames:
///
///   length (u64), masked CRC-32C of it (u32), the event, masked CRC-32C of that (u32), all little-endian;
///   masked(c) = rotate_right(c, 15) + 0xa282ead8.
///
/// Every event is flushed, so a killed run loses none. Readers accept a truncated file up to its last
/// complete event.
class EventFile {
 public:
  /// Begins a new file in `folder` and creates the folder if it is missing. The file voids `first_step` and
  /// later steps in older files of the folder, so TensorBoard shows every step once. Throws Error if it
  /// cannot be written.
  EventFile(const std::string& folder, int64_t first_step);

  struct Scalar {
    std::string_view tag;
    double value;  ///< written in single precision
  };

  /// Throws Error if the file cannot be written, as text() does.
  void scalars(int64_t step, std::span<const Scalar> scalars);

  /// `markdown` must be UTF-8.
  void text(int64_t step, std::string_view tag, std::string_view markdown);

  const std::string& path() const { return out_.path(); }

 private:
  void add(std::string_view event);

  AppendFile out_;
};

}  // namespace hipgpt
