#include "records/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <ctime>
#include <filesystem>

#include "error.h"

namespace hipgpt {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kNamePrefix = "events.out.tfevents.";

// ---- Frames ---------------------------------------------------------------------------------------------

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ (remainder & 1 ? 0x82F63B78u : 0u);
    table[byte] = remainder;
  }
  return table;
}

/// Castagnoli's polynomial 0x1EDC6F41, bits reflected (RFC 3720, appendix B.4), and TFRecord's mask.
uint32_t masked_crc32c(std::string_view bytes) {
  static constexpr auto kTable = make_crc_table();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return std::rotr(~crc, 15) + 0xa282ead8u;
}

std::string little_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
  return out;
}

// ---- Protocol buffers: fields one after the other, each a key (number * 8 + wire type) and its value ------

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  return out + static_cast<char>(value);
}

std::string key(int number, int wire_type) {
  return varint(static_cast<uint64_t>(number * 8 + wire_type));
}

std::string integer_field(int number, int64_t value) {
  return key(number, 0) + varint(static_cast<uint64_t>(value));
}

std::string double_field(int number, double value) {
  return key(number, 1) + little_endian(std::bit_cast<uint64_t>(value), 8);
}

std::string float_field(int number, float value) {
  return key(number, 5) + little_endian(std::bit_cast<uint32_t>(value), 4);
}

/// Encodes a string, bytes, or a nested message.
std::string bytes_field(int number, std::string_view bytes) {
  return key(number, 2) + varint(bytes.size()) + std::string(bytes);
}

// ---- Messages, with the field numbers of event.proto, summary.proto and tensor.proto ----------------------

/// Encodes an Event with wall_time, step and `what`, one of its other fields.
std::string event(int64_t step, std::string_view what) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return double_field(1, now) + integer_field(2, step) + std::string(what);
}

std::string file_version() {
  return bytes_field(3, "brain.Event:2");
}

std::string session_start() {
  return bytes_field(7, integer_field(1, 1));  // SessionLog.status = START
}

std::string scalar_value(const EventFile::Scalar& scalar) {
  return bytes_field(1, bytes_field(1, scalar.tag) + float_field(2, static_cast<float>(scalar.value)));
}

/// Encodes a tensor of one string, with metadata that names the text plugin and the data class (tensor).
std::string text_value(std::string_view tag, std::string_view text) {
  constexpr int64_t kString = 7, kTensors = 2;
  const std::string shape = bytes_field(2, integer_field(1, 1));
  const std::string tensor = integer_field(1, kString) + bytes_field(2, shape) + bytes_field(8, text);
  const std::string metadata = bytes_field(1, bytes_field(1, "text")) + integer_field(4, kTensors);
  return bytes_field(1, bytes_field(1, tag) + bytes_field(8, tensor) + bytes_field(9, metadata));
}

// ---- Files ----------------------------------------------------------------------------------------------

/// TensorBoard reads a folder's files in the order of their names, which begin with a time. Returns the
/// current time, or one second after the newest file if that is later.
int64_t time_for_name(const fs::path& folder) {
  int64_t time = std::time(nullptr);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kNamePrefix)) continue;
    int64_t other = 0;
    std::from_chars(name.data() + kNamePrefix.size(), name.data() + name.size(), other);
    time = std::max(time, other + 1);
  }
  return time;
}

std::string host_name() {
  char name[256] = "";
  return ::gethostname(name, sizeof(name) - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

/// Returns the path of a new file in the folder and creates the folder if it is missing.
std::string new_path(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(fmt::format("{}: cannot create the folder: {}", folder, error.message()));
  const std::string name =
      fmt::format("{}{:010}.{}.{}.0", kNamePrefix, time_for_name(folder), host_name(), ::getpid());
  return (fs::path(folder) / name).string();
}

}  // namespace

EventFile::EventFile(const std::string& folder, int64_t first_step)
    : out_(new_path(folder), AppendFile::Start::kEmpty) {
  add(event(0, file_version()));
  add(event(first_step, session_start()));
}

void EventFile::scalars(int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) summary += scalar_value(scalar);
  add(event(step, bytes_field(5, summary)));
}

void EventFile::text(int64_t step, std::string_view tag, std::string_view markdown) {
  add(event(step, bytes_field(5, text_value(tag, markdown))));
}

void EventFile::add(std::string_view event) {
  const std::string length = little_endian(event.size(), 8);
  out_.write(length + little_endian(masked_crc32c(length), 4) + std::string(event) +
             little_endian(masked_crc32c(event), 4));
}

}  // namespace hipgpt
