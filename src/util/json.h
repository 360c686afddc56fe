// JsonValue: JSON that anyone may have written, read by one parser under one set of limits, and written
// again.
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

/// Values are copied, compared and printed by functions that call themselves once for each level of nesting,
/// so a deep text would exhaust the stack. Files that HipGPT reads have four levels.
inline constexpr int kDeepestJson = 32;

/// In bytes; the limit that the safetensors format sets for its own header. A value takes up to sixty times
/// as much.
inline constexpr size_t kLargestJson = 100'000'000;

/// A value of JSON (RFC 8259). A whole number beyond 64 bits is kept as a double.
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
  bool is_count() const { return std::holds_alternative<uint64_t>(data_); }  ///< a whole number from 0
  bool is_whole() const { return std::holds_alternative<int64_t>(data_) || is_count(); }
  bool is_number() const { return std::holds_alternative<double>(data_) || is_whole(); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }

  // What a value holds. Error if it holds something else.
  bool as_bool() const;
  int64_t as_whole() const;
  uint64_t as_count() const;
  double as_number() const;
  const std::string& as_string() const;
  const Array& items() const;

  /// In the order in which they were added; those of a parsed object in the order of their names.
  const Object& members() const;

  /// The member of that name, or null if there is none, or if this is no object.
  const JsonValue* find(std::string_view name) const;

  /// The same, where a member that is missing means as much as one that is JSON's null.
  const JsonValue& operator[](std::string_view name) const;

  /// Adds a member to an object, or replaces the one of that name.
  void set(std::string_view name, JsonValue value);

  /// Numbers are equal by their value, whatever their type.
  bool operator==(const JsonValue& other) const;

  /// The text: on one line, or with `indent` spaces for each level. Bytes that are not UTF-8 become U+FFFD,
  /// and a number that is not finite becomes null.
  std::string dump(int indent = -1) const;

 private:
  void hold(int64_t negative);
  void hold(uint64_t count);
  void append_to(std::string& text, int indent, int level) const;

  // Whole numbers from 0 are uint64_t, so int64_t is a negative one.
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> data_;
};

struct JsonValue::Member {
  std::string name;
  JsonValue value;
  bool operator==(const Member&) const = default;
};

/// A text between quotation marks, with escapes. Bytes that are not UTF-8 become U+FFFD.
std::string json_quoted(std::string_view text);

/// The value of a JSON text. Error if it is not JSON or exceeds a limit. The message says what is wrong with
/// the text, and the caller puts the file's name before it. Of members with one name the last holds.
JsonValue parse_json(std::string_view text);

/// The same, and no object may have a key twice: of two such entries one reader takes the first and another
/// the last.
JsonValue parse_json_with_unique_keys(std::string_view text);

/// Nothing instead of an Error, for a line of many that may be damaged.
std::optional<JsonValue> try_parse_json(std::string_view text);

}  // namespace hipgpt
