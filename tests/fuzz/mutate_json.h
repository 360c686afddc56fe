// JSON changed at random in its structure: values of other types and sizes, members deleted, doubled, swapped
// and repeated. What a JSON library cannot hold, such as a key that stands twice, goes in as text at the end.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace hipgpt::fuzz {

/// Random numbers of one case: a function of the seed and the case alone, on every machine.
class Random {
 public:
  Random(uint64_t seed, uint64_t i) {
    const uint64_t key[] = {seed, i};
    bits_.seed(XXH3_64bits(key, sizeof key));
  }

  /// 0 to n-1; n is not 0.
  uint64_t below(uint64_t n) { return bits_() % n; }
  bool chance(uint64_t percent) { return below(100) < percent; }
  template <typename List>
  const auto& pick(const List& list) {
    return *(std::begin(list) + static_cast<std::ptrdiff_t>(below(std::size(list))));
  }

 private:
  std::mt19937_64 bits_;
};

/// Numbers at the edges of the types that hold them, some of which JSON has and C++ has not.
inline const std::vector<std::string>& extreme_numbers() {
  static const std::vector<std::string> kNumbers = {
      "-1", "0", "-0.0", "1", "2", "255", "256", "257", "65535", "65536", "16777216", "16777217",
      "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296",
      "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
      "18446744073709551615", "18446744073709551616", "1e-320", "0.5", "1.5", "-1e30", "3.5e38", "1e308",
      "-1e308", "1e400", "1000000000", "1e9"};
  return kNumbers;
}

class JsonMutator {
 public:
  using Json = nlohmann::ordered_json;

  explicit JsonMutator(Random& random) : random_(random) {}

  /// Changes one place of the document.
  void mutate(Json& document) {
    Json* node = &document;
    while (!node->empty() && node->is_structured() && random_.chance(90)) {
      Json& parent = *node;
      node = &child(parent);
      if (random_.chance(parent.is_object() ? 12 : 8)) return change_members(parent, *node);
    }
    change_value(*node, document);
  }

  /// The text of a document that mutate() has changed.
  std::string text(const Json& document) const {
    std::string text = document.dump(-1, ' ', false, Json::error_handler_t::replace);
    for (size_t i = raw_.size(); i-- > 0;) {  // a later text may hold marks of earlier ones
      const std::string mark = Json(mark_of(i)).dump();
      size_t at = text.find(mark);
      for (; at != std::string::npos && text.size() < kMostBytes; at = text.find(mark, at + raw_[i].size()))
        text.replace(at, mark.size(), raw_[i]);
    }
    return text;
  }

 private:
  static constexpr size_t kMostBytes = 900'000;  // with the rest of a file, below 1 MB

  Random& random_;
  std::vector<std::string> raw_;  // texts that stand for marks

  static std::string mark_of(size_t i) { return "<raw " + std::to_string(i) + ">"; }
  std::string mark(std::string text) {
    raw_.push_back(std::move(text));
    return mark_of(raw_.size() - 1);
  }

  Json& child(Json& parent) {
    // The first and the last members of long lists are as likely as all others together.
    const uint64_t n = parent.size(), kind = random_.below(4);
    const uint64_t i = kind == 0 ? 0 : kind == 1 ? n - 1 : random_.below(n);
    return *std::next(parent.begin(), static_cast<std::ptrdiff_t>(i));
  }

  void change_members(Json& parent, Json& node) {
    const auto at = std::find_if(parent.begin(), parent.end(), [&](const Json& j) { return &j == &node; });
    switch (random_.below(5)) {
      case 0: parent.erase(at); return;
      case 1: std::swap(node, child(parent)); return;
      case 2: repeat(parent, node, 1 + random_.below(3)); return;
      case 3: repeat(parent, node, uint64_t{1} << random_.below(18)); return;
      case 4:
        if (parent.is_object()) {  // the key a second time
          const std::string value = random_.chance(50) ? node.dump(-1, ' ', false, Json::error_handler_t::replace)
                                                       : random_.pick(extreme_numbers());
          parent[mark(Json(at.key()).dump())] = mark(value);
        } else {
          parent.push_back(node);
        }
    }
  }

  /// Many members like one, each with a number of its own where it has a place for one.
  void repeat(Json& parent, const Json& node, uint64_t count) {
    const Json copy = node;
    const size_t bytes = copy.dump(-1, ' ', false, Json::error_handler_t::replace).size() + 16;
    count = std::min<uint64_t>(count, kMostBytes / bytes);
    if (parent.is_array()) {
      for (uint64_t i = 1; i <= count; ++i) parent.push_back(numbered(copy, i));
      return;
    }
    // An ordered object looks through all its members for each new one: so these go in as text.
    std::string members;
    for (uint64_t i = 1; i <= count; ++i) {
      members += (i == 1 ? "\"m1\":" : ",\"m" + std::to_string(i) + "\":") +
                 numbered(copy, i).dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    if (count > 0) parent[mark(members + ",\"last\"")] = nullptr;
  }

  static Json numbered(const Json& value, uint64_t i) {
    Json result = value;
    if (value.is_string()) result = value.get<std::string>() + std::to_string(i);
    if (value.is_number_integer()) result = value.get<int64_t>() + static_cast<int64_t>(i);
    if (value.is_object()) {
      for (Json& member : result) {
        if (!member.is_structured()) member = numbered(member, i);
      }
    }
    return result;
  }

  void change_value(Json& node, const Json& document) {
    const bool is_digits = node.is_string() && !node.empty() &&
                           node.get<std::string>().find_first_not_of("0123456789") == std::string::npos;
    if (is_digits && random_.chance(60)) {  // a number of safetensors' metadata, which are strings
      node = random_.pick(extreme_numbers());
      return;
    }
    switch (random_.below(9)) {
      case 0: node = mark(random_.pick(extreme_numbers())); return;
      case 1: node = mark(random_.pick(other_values())); return;
      case 2: node = mark(deep()); return;
      case 3: node = std::string(uint64_t{1} << random_.below(20), static_cast<char>('a' + random_.below(3))); return;
      case 4: node = mark(random_.pick(strange_strings())); return;
      case 5: node = Json(random_value(document)); return;
      case 6:
        if (node.is_number_integer()) node = node.get<int64_t>() + (random_.chance(50) ? 1 : -1);
        else node = mark(random_.pick(extreme_numbers()));
        return;
      case 7:
        if (node.is_string()) node = edited(node.get<std::string>());
        else node = Json::array({node, node});
        return;
      case 8:
        if (node.is_boolean()) node = !node.get<bool>();
        else node = mark(random_.pick(other_values()));
    }
  }

  Json random_value(const Json& document) {
    const Json* node = &document;
    while (node->is_structured() && !node->empty() && random_.chance(90))
      node = &*std::next(node->begin(), static_cast<std::ptrdiff_t>(random_.below(node->size())));
    return node == &document ? Json() : *node;
  }

  std::string deep() {
    static constexpr uint64_t kDepths[] = {4, 31, 33, 1000, 20'000, 200'000};
    const uint64_t depth = random_.pick(kDepths);
    const std::string open = random_.chance(50) ? "[" : "{\"a\":", close = open == "[" ? "]" : "}";
    std::string text;
    for (uint64_t i = 0; i < depth; ++i) text += open;
    text += "0";
    if (random_.chance(90)) for (uint64_t i = 0; i < depth; ++i) text += close;
    return text;
  }

  std::string edited(std::string text) {
    const size_t at = random_.below(text.size() + 1);
    if (random_.chance(30)) return text.substr(0, at);
    if (random_.chance(30)) return text + text;
    return text.insert(at, 1, static_cast<char>(random_.below(128)));
  }

  static const std::vector<std::string>& other_values() {
    static const std::vector<std::string> kValues = {"null", "true", "false", "\"\"", "[]", "{}", "[[]]", "[null]",
                                                     "{\"\":0}", "\"F32\"", "\"0\"", "\"nan\"", "\" \"", "NaN", ""};
    return kValues;
  }

  static const std::vector<std::string>& strange_strings() {
    static const std::vector<std::string> kStrings = {
        R"("\u0000")", R"("a\u0000b")", R"("\ud800")", R"("\udc00\ud800")", R"("\n\r\t")", R"("\u001b[2J")",
        "\"\xff\xfe\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\x01\"", R"("../../beside/escaped")",
        R"("{} {:s} %s%n")", R"("\u2028\ufeff")", "\"\xf4\x90\x80\x80\"", R"("Ġ")", R"("Ġthe")", R"("/dev/zero")"};
    return kStrings;
  }
};

}  // namespace hipgpt::fuzz
