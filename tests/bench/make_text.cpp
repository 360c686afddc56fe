// Writes a synthetic text of any size to standard output, for benchmarks. Usage: make_text TEXT GIB [SEED]
//
// Words are as frequent as in a large collection of real text: the word of rank r, out of 2^25, has a
// probability proportional to 1/r^1.2 (Zipf's law). The most common words are the words of TEXT by their
// frequency. The others are made of syllables, some of them in Cyrillic letters. So 5 GiB have about a
// billion words, 17 million of them different. Numbers and punctuation come between the words, and a line is
// a paragraph.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "philox.h"
#include "tokenizer/pretokenizer.h"
#include "util/mapped_file.h"

namespace {

constexpr double kRanks = 1 << 25;
constexpr double kExponent = 1.2;

/// Returns the words of a text that consist of letters, most common first.
std::vector<std::string> common_words(std::string_view text) {
  std::unordered_map<std::string, size_t> counts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = hipgpt::word_end(text, begin);
    std::string word(text.substr(begin, end - begin));
    if (word[0] == ' ') word.erase(0, 1);
    if (!word.empty() && hipgpt::character_at(word, 0).kind == hipgpt::CharClass::kLetter) ++counts[word];
    begin = end;
  }
  std::vector<std::string> words;
  for (const auto& [word, count] : counts) words.push_back(word);
  std::ranges::sort(words, [&](const std::string& a, const std::string& b) {
    return counts[a] != counts[b] ? counts[a] > counts[b] : a < b;
  });
  return words;
}

/// Returns a different word for every number: a syllable for each digit in base 70.
std::string made_up_word(uint64_t number) {
  static const char* const kConsonants[] = {"b", "d", "f", "g", "k", "l", "m",
                                            "n", "p", "r", "s", "t", "v", "z"};
  static const char* const kVowels[] = {"a", "e", "i", "o", "u"};
  static const char* const kCyrillic[] = {"б", "д", "ф", "г", "к", "л", "м",
                                          "н", "п", "р", "с", "т", "в", "з"};
  static const char* const kCyrillicVowels[] = {"а", "е", "и", "о", "у"};
  const bool cyrillic = number % 50 == 0;
  std::string word;
  for (; number > 0; number /= 70) {
    word += (cyrillic ? kCyrillic : kConsonants)[number % 70 / 5];
    word += (cyrillic ? kCyrillicVowels : kVowels)[number % 5];
  }
  return word;
}

class TextMaker {
 public:
  TextMaker(std::string_view text, uint64_t seed)
      : words_(common_words(text)), key_(hipgpt::philox_key(seed)) {}

  /// Appends one sentence.
  void append_sentence(std::string& out) {
    const uint64_t words = 4 + next() % 20;
    for (uint64_t i = 0; i < words; ++i) {
      if (i > 0) out += next() % 12 == 0 ? ", " : " ";
      append_word(out, i == 0);
    }
    out += next() % 8 == 0 ? "?" : ".";
    out += next() % 5 == 0 ? "\n" : " ";
  }

 private:
  void append_word(std::string& out, bool capital) {
    if (next() % 50 == 0) {
      out += std::to_string(next() % (uint64_t{1} << (1 + next() % 20)));
      return;
    }
    const size_t begin = out.size();
    const uint64_t rank = random_rank();
    out += rank < words_.size() ? words_[rank] : made_up_word(rank);
    if ((capital || rank % 11 == 10) && out[begin] >= 'a' && out[begin] <= 'z') {
      out[begin] = static_cast<char>(out[begin] - 'a' + 'A');
    }
  }

  uint64_t random_rank() {
    const double u = next() * 0x1p-32;
    const double least = std::pow(kRanks, 1 - kExponent);
    return static_cast<uint64_t>(std::pow(1 - u * (1 - least), 1 / (1 - kExponent))) - 1;
  }

  uint64_t next() {
    if (used_ == 4) {
      bits_ = hipgpt::philox4x32({static_cast<uint32_t>(count_), static_cast<uint32_t>(count_ >> 32), 0, 0},
                                 key_);
      ++count_;
      used_ = 0;
    }
    return bits_[used_++];
  }

  std::vector<std::string> words_;
  decltype(hipgpt::philox_key(0)) key_;
  decltype(hipgpt::philox4x32({}, {})) bits_{};
  uint64_t count_ = 0;
  int used_ = 4;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) throw std::runtime_error("usage: make_text TEXT GIB [SEED]");
  const hipgpt::MappedFile file(argv[1], hipgpt::MappedFile::Access::kSequential);
  TextMaker maker(file.text(), argc > 3 ? std::stoull(argv[3]) : 1);
  const double bytes = std::stod(argv[2]) * 0x1p30;
  std::string buffer;
  for (double written = 0; written < bytes; written += static_cast<double>(buffer.size())) {
    buffer.clear();
    while (buffer.size() < 1 << 20) maker.append_sentence(buffer);
    if (std::fwrite(buffer.data(), 1, buffer.size(), stdout) != buffer.size()) {
      throw std::runtime_error("cannot write to standard output");
    }
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
