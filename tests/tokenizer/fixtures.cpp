#include "fixtures.h"

#include <array>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace hipgpt {

std::string fixture_path(const std::string& name) {
  return std::string(HIPGPT_TEST_DATA_DIR) + "/tokenizer/fixtures/" + name;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string read_fixture(const std::string& name) {
  return read_file(fixture_path(name));
}

nlohmann::json read_json_fixture(const std::string& name) {
  return nlohmann::json::parse(read_fixture(name));
}

std::string random_text(std::mt19937& rng, size_t pieces) {
  using namespace std::string_view_literals;
  static constexpr auto kPieces = std::to_array<std::string_view>({
      "the"sv,
      " of"sv,
      "a"sv,
      "Z"sv,
      "'s"sv,
      "'ll"sv,
      "'l"sv,
      "'"sv,
      " "sv,
      "  "sv,
      "\n"sv,
      "\r\n"sv,
      "\t"sv,
      "\xC2\xA0"sv,
      "\xE3\x80\x80"sv,
      "7"sv,
      " 42"sv,
      "\xC2\xB2"sv,
      "!"sv,
      " ..."sv,
      "\0"sv,
      "\xC3\xA9"sv,
      "\xE6\x97\xA5"sv,
      "\xF0\x9F\x99\x82"sv,
      "\xF0\xA0\x80\x80"sv,
      "\x80"sv,
      "\xBF"sv,
      "\xC3"sv,
      "\xE6\x97"sv,
      "\xF0\x9F\x99"sv,
      "\xC0\x80"sv,
      "\xED\xA0\x80"sv,
      "\xF4\x90\x80\x80"sv,
      "\xFF"sv,
      "<|endoftext|>"sv,
      "<|end|>"sv,
      "<|"sv,
      "|>"sv,
  });
  std::string text;
  while (pieces-- > 0) text += kPieces[rng() % kPieces.size()];
  return text;
}

std::string random_bytes(std::mt19937& rng, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(rng());
  return bytes;
}

const Tokenizer& multiscript_tokenizer() {
  static const Tokenizer tokenizer = Tokenizer::load(fixture_path("multiscript.tokenizer.json"));
  return tokenizer;
}

std::vector<int32_t> stream(const Tokenizer& tokenizer, std::string_view text, int threads) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, threads, [&](std::span<const int32_t> piece) {
    ids.insert(ids.end(), piece.begin(), piece.end());
  });
  return ids;
}

uint64_t fnv1a(std::string_view data) {
  uint64_t value = 0xCBF29CE484222325;
  for (const char byte : data) value = (value ^ static_cast<uint8_t>(byte)) * 0x100000001B3;
  return value;
}

}  // namespace hipgpt
