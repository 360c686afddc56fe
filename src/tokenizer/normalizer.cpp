#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "error.h"
#include "tokenizer/characters.h"

namespace hipgpt {
namespace {

/// The tables of `tokenizers` are those of Unicode 9. These ranges have every character added since then that
/// has a decomposition or a combining class or that combines with another. They stay as they are, like all
/// characters that the tables lack. The other characters in them always stay as they are.
struct Range {
  char32_t first, last;
};
constexpr Range kAddedSinceUnicode9[] = {
    {0x558, 0x558},     {0x58B, 0x58C},     {0x5C8, 0x5C9},     {0x7FD, 0x7FD},     {0x897, 0x8D3},
    {0x9FE, 0x9FE},     {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
    {0x1ABF, 0x1AF0},   {0x1DF6, 0x1DFA},   {0x209D, 0x209F},   {0x32FF, 0x32FF},   {0xA7F1, 0xA7F4},
    {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x105C9, 0x107BF}, {0x10D24, 0x10F85}, {0x11070, 0x11070},
    {0x1133B, 0x1133B}, {0x11382, 0x113D0}, {0x1145E, 0x1145E}, {0x11839, 0x11A99}, {0x11D42, 0x1612F},
    {0x16D63, 0x1B126}, {0x1CCD6, 0x1D128}, {0x1D250, 0x1D281}, {0x1D6A6, 0x1D6A6}, {0x1DF95, 0x1DFFF},
    {0x1E030, 0x1E6F5}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

/// No character beyond has a decomposition or a combining class.
constexpr char32_t kTableSize = 0x30000;

/// How a character behaves.
enum class Behaviour : uint8_t {
  kStarts,   // stays as it is, and does not combine with what precedes it
  kChanges,  // may change, move or combine with what precedes it
  kIgnored   // stays as it is and separates what surrounds it
};

using CodePoints = std::vector<utf8proc_int32_t>;

int combining_class(utf8proc_int32_t c) {
  return utf8proc_get_property(c)->combining_class;
}

/// Appends the full decomposition of a character.
void decompose(Normalization form, utf8proc_int32_t c, CodePoints& result) {
  const int kind = form == Normalization::kNfkc ? UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE : UTF8PROC_DECOMPOSE;
  std::array<utf8proc_int32_t, 32> parts;  // the longest decomposition, of U+FDFA, has 18
  int last_bound_class = 0;
  const auto count = utf8proc_decompose_char(c, parts.data(), parts.size(),
                                             static_cast<utf8proc_option_t>(kind), &last_bound_class);
  if (count < 0 || static_cast<size_t>(count) > parts.size()) throw Error("cannot decompose a character");
  result.insert(result.end(), parts.begin(), parts.begin() + count);
}

/// Sorts each run of combining characters by their classes. utf8proc does so in quadratic time.
void sort_marks(CodePoints& text) {
  const auto is_mark = [](utf8proc_int32_t c) { return combining_class(c) != 0; };
  for (auto begin = text.begin(); begin != text.end();) {
    begin = std::find_if(begin, text.end(), is_mark);
    const auto end = std::find_if_not(begin, text.end(), is_mark);
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    begin = end;
  }
}

void compose(CodePoints& text) {
  constexpr int kOptions = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
  const auto size = utf8proc_normalize_utf32(text.data(), static_cast<utf8proc_ssize_t>(text.size()),
                                             static_cast<utf8proc_option_t>(kOptions));
  if (size < 0) throw Error("cannot compose a text");
  text.resize(static_cast<size_t>(size));
}

std::vector<Behaviour> behaviours(Normalization form) {
  std::vector<Behaviour> table(kTableSize, Behaviour::kStarts);
  for (char32_t i = 0; i < kTableSize; ++i) {
    const auto c = static_cast<utf8proc_int32_t>(i);
    if (c >= 0xD800 && c < 0xE000) continue;
    CodePoints parts;
    decompose(Normalization::kNfc, c, parts);
    for (size_t part = 1; part < parts.size(); ++part) {
      if (static_cast<char32_t>(parts[part]) < kTableSize) table[parts[part]] = Behaviour::kChanges;
    }
    parts.clear();
    decompose(form, c, parts);
    compose(parts);
    if (combining_class(c) != 0 || parts != CodePoints{c}) table[i] = Behaviour::kChanges;
  }
  for (const Range& range : kAddedSinceUnicode9) {
    std::fill(table.begin() + range.first, table.begin() + range.last + 1, Behaviour::kIgnored);
  }
  return table;
}

/// Built when it is first needed, because most vocabularies need none.
template <Normalization form>
const std::vector<Behaviour>& table_of() {
  static const std::vector<Behaviour> table = behaviours(form);
  return table;
}

Behaviour behaviour_of(Normalization form, utf8proc_int32_t c) {
  const auto& table =
      form == Normalization::kNfkc ? table_of<Normalization::kNfkc>() : table_of<Normalization::kNfc>();
  return static_cast<char32_t>(c) < kTableSize ? table[static_cast<size_t>(c)] : Behaviour::kStarts;
}

struct Element {
  Behaviour behaviour;
  utf8proc_int32_t code_point;
  size_t size;  // bytes
};

/// Returns the character or the stray byte that starts at text[position].
Element element_at(Normalization form, std::string_view text, size_t position) {
  if (static_cast<uint8_t>(text[position]) < 0x80) return {Behaviour::kStarts, text[position], 1};
  const auto [code_point, size] = decode_at(text, position);
  if (code_point < 0) return {Behaviour::kIgnored, code_point, 1};
  return {behaviour_of(form, code_point), code_point, size};
}

/// The characters that may change each other: those that change, and one before them that starts.
struct Stretch {
  size_t begin, end;  // empty at the end of the text if there is none
};

Stretch next_stretch(Normalization form, std::string_view text, size_t from) {
  Stretch stretch{from, from};
  bool changes = false;
  while (stretch.end < text.size()) {
    const Element c = element_at(form, text, stretch.end);
    if (changes && c.behaviour != Behaviour::kChanges) return stretch;
    changes = c.behaviour == Behaviour::kChanges;
    if (c.behaviour == Behaviour::kStarts) stretch.begin = stretch.end;
    stretch.end += c.size;
    if (c.behaviour == Behaviour::kIgnored) stretch.begin = stretch.end;
  }
  return changes ? stretch : Stretch{text.size(), text.size()};
}

void append_normalized(Normalization form, std::string_view stretch, std::string& result) {
  CodePoints characters;
  for (size_t position = 0; position < stretch.size();) {
    const Element c = element_at(form, stretch, position);
    decompose(form, c.code_point, characters);
    position += c.size;
  }
  sort_marks(characters);
  compose(characters);
  for (const utf8proc_int32_t c : characters) {
    std::array<utf8proc_uint8_t, 4> bytes;
    const auto size = utf8proc_encode_char(c, bytes.data());
    result.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(size));
  }
}

}  // namespace

std::string_view normalized(Normalization form, std::string_view text, std::string& storage) {
  if (form == Normalization::kNone) return text;
  Stretch stretch = next_stretch(form, text, 0);
  if (stretch.begin == text.size()) return text;
  storage.clear();
  size_t copied = 0;
  while (stretch.begin < text.size()) {
    storage += text.substr(copied, stretch.begin - copied);
    append_normalized(form, text.substr(stretch.begin, stretch.end - stretch.begin), storage);
    copied = stretch.end;
    stretch = next_stretch(form, text, copied);
  }
  storage += text.substr(copied);
  return storage;
}

bool normalizes_apart(Normalization form, std::string_view text, size_t left, size_t right) {
  if (form == Normalization::kNone) return true;
  const auto stays = [&](size_t position) {
    return element_at(form, text, position).behaviour != Behaviour::kChanges;
  };
  return stays(left) && stays(right);
}

}  // namespace hipgpt
