// JsonValue: JSON from untrusted sources, read by one parser with one set of limits, and written back.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hipgpt {

/// Functions that copy, compare and print values recurse once per nesting level, so a deeply nested text
/// would exhaust the stack. Files that HipGPT reads have four levels.
inline constexpr int kDeepestJson = 32;

/// In bytes; the safetensors format's limit for its header. A parsed value takes up to sixty times as much
/// memory.
inline constexpr size_t kLargestJson = 100'000'000;

/// A JSON value (RFC 8259). A whole number beyond 64 bits is stored as a double.
class JsonValue {
 public:
  struct Member;
  using Array = std::vector<JsonValue>;
  using Object = std::vector<Member>;

  JsonValue() noexcept;  ///< null
  JsonValue(std::same_as<bool> auto value) : data_(value) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) JsonValue(T value) {
    if (value < T{0}) {
      hold(static_cast<int64_t>(value));
    } else {
      hold(static_cast<uint64_t>(value));
    }
  }
  JsonValue(double value);
  JsonValue(const char* text);
  JsonValue(std::string_view text);
  JsonValue(std::string text);
  JsonValue(Array items);
  JsonValue(Object members);
  template <typename T>
  JsonValue(const std::vector<T>& items) : JsonValue(Array(items.begin(), items.end())) {}

  /// An object: {{"step", 1}, {"loss", 2.5}}.
  JsonValue(std::initializer_list<Member> members);

  JsonValue(const JsonValue& other);
  JsonValue(JsonValue&& other) noexcept;
  JsonValue& operator=(const JsonValue& other);
  JsonValue& operator=(JsonValue&& other) noexcept;
  ~JsonValue();

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_count() const { return std::holds_alternative<uint64_t>(data_); }  ///< a non-negative integer
  bool is_whole() const { return std::holds_alternative<int64_t>(data_) || is_count(); }
  bool is_number() const { return std::holds_alternative<double>(data_) || is_whole(); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }

  // The contents of a value. These throw Error if it has another type.
  bool as_bool() const;
  int64_t as_whole() const;
  uint64_t as_count() const;
  double as_number() const;
  const std::string& as_string() const;
  const Array& items() const;

  /// The members, in insertion order; in a parsed object, sorted by name.
  const Object& members() const;

  /// The member with this name, or null if there is none or this is not an object.
  const JsonValue* find(std::string_view name) const;

  /// Like find(), but returns a JSON null for a missing member.
  const JsonValue& operator[](std::string_view name) const;

  /// Adds a member to an object, or replaces the member with this name.
  void set(std::string_view name, JsonValue value);

  /// Numbers of different types are equal if their values are.
  bool operator==(const JsonValue& other) const;

  /// The JSON text, on one line or with `indent` spaces per level. Bytes that are not UTF-8 become U+FFFD,
  /// and a number that is not finite becomes null.
  std::string dump(int indent = -1) const;

 private:
  void hold(int64_t negative);
  void hold(uint64_t count);
  void append_to(std::string& text, int indent, int level) const;

  // Non-negative integers are uint64_t, so an int64_t is always negative.
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> data_;
};

struct JsonValue::Member {
  std::string name;
  JsonValue value;
  bool operator==(const Member&) const = default;
};

/// A quoted and escaped JSON string. Bytes that are not UTF-8 become U+FFFD.
std::string json_quoted(std::string_view text);

/// Parses a JSON text. Throws Error if it is not JSON or exceeds a limit. The message says what is wrong with
/// the text; the caller prefixes the file's name. The last of several members with the same name wins.
JsonValue parse_json(std::string_view text);

/// Like parse_json(), but throws Error if an object has a key twice, because some readers use the first entry
/// and others the last.
JsonValue parse_json_with_unique_keys(std::string_view text);

/// Like parse_json(), but returns nothing instead of throwing Error; for one of many lines that may be
/// damaged.
std::optional<JsonValue> try_parse_json(std::string_view text);

/// Reads the object in a JSON file. Every Error names the file.
JsonValue read_json_object(const std::string& path);

}  // namespace hipgpt
