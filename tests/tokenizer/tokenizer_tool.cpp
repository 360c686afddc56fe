// A command line for check_against_huggingface.py and check_vocabularies.py: trains, and writes ids of texts.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <string>

#include "tokenizer.h"
#include "tokenizer/pretokenizer.h"
#include "util/mapped_file.h"

namespace {

using hipgpt::MappedFile;
using hipgpt::Tokenizer;

void write(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

/// Writes little-endian 32-bit ids. Both kinds of encode() must agree, and decoding must return the text.
void encode(const Tokenizer& tokenizer, const std::string& text_path, const std::string& ids_path) {
  const MappedFile file(text_path, MappedFile::Access::kSequential);
  const auto ids = tokenizer.encode(file.text());
  std::vector<int32_t> streamed;
  tokenizer.encode(file.text(), 0,
                   [&](auto piece) { streamed.insert(streamed.end(), piece.begin(), piece.end()); });
  if (streamed != ids) throw std::runtime_error("the streaming encode() gives different ids");
  if (tokenizer.decode(ids) != file.text()) throw std::runtime_error("decode() gives a different text");
  write(ids_path, {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t)});
}

const hipgpt::Pretokenizer& find_pretokenizer(const std::string& name) {
  static const std::map<std::string, const hipgpt::Pretokenizer*> by_name = {
      {"gpt2", &hipgpt::kGpt2Words},
      {"starcoder2", &hipgpt::kDigitsAndGpt2Words},
      {"numbers", &hipgpt::kNumbersAndGpt2Words},
      {"llama3", &hipgpt::kLlama3Words},
      {"qwen2", &hipgpt::kQwen2Words},
      {"cl100k", &hipgpt::kCl100kWords},
      {"o200k", &hipgpt::kO200kWords}};
  return *by_name.at(name);
}

/// Writes the sizes of the words of each text of a JSON list.
void write_words(const hipgpt::Pretokenizer& pretokenizer, const std::string& texts_path,
                 const std::string& results_path) {
  const MappedFile file(texts_path, MappedFile::Access::kSequential);
  nlohmann::json results = nlohmann::json::array();
  for (const std::string text : nlohmann::json::parse(file.text())) {
    auto& sizes = results.emplace_back(nlohmann::json::array());
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = pretokenizer.word_end(text, begin);
      sizes.push_back(end - begin);
      begin = end;
    }
  }
  write(results_path, results.dump());
}

/// Writes [ids, decoded text] for each text of a JSON list. Streaming must give the same ids.
void encode_each(const Tokenizer& tokenizer, const std::string& texts_path, const std::string& results_path) {
  const MappedFile file(texts_path, MappedFile::Access::kSequential);
  nlohmann::json results = nlohmann::json::array();
  for (const std::string text : nlohmann::json::parse(file.text())) {
    const auto ids = tokenizer.encode(text);
    std::vector<int32_t> streamed;
    tokenizer.encode(text, 1,
                     [&](auto piece) { streamed.insert(streamed.end(), piece.begin(), piece.end()); });
    if (streamed != ids) throw std::runtime_error("the streaming encode() gives different ids");
    results.push_back({ids, tokenizer.decode(ids)});
  }
  write(results_path, results.dump());
}

int run(const std::vector<std::string>& args) {
  if (args.size() >= 4 && args[0] == "train") {
    const MappedFile file(args[1], MappedFile::Access::kSequential);
    Tokenizer::TrainOptions options;
    options.vocab_size = std::stoi(args[2]);
    options.special_tokens = {args.begin() + 4, args.end()};
    write(args[3], Tokenizer::train(file.text(), options).to_json());
  } else if (args.size() == 4 && args[0] == "encode") {
    encode(Tokenizer::load(args[1]), args[2], args[3]);
  } else if (args.size() == 4 && args[0] == "encode-each") {
    encode_each(Tokenizer::load(args[1]), args[2], args[3]);
  } else if (args.size() == 4 && args[0] == "words") {
    write_words(find_pretokenizer(args[1]), args[2], args[3]);
  } else if (args.size() == 3 && args[0] == "convert") {
    write(args[2], Tokenizer::load(args[1]).to_json());
  } else if (args.size() == 5 && args[0] == "encode-gpt2") {
    encode(Tokenizer::from_gpt2_files(args[1], args[2]), args[3], args[4]);
  } else {
    std::cerr
        << "usage: tokenizer_tool train TEXT VOCAB_SIZE JSON [SPECIAL]... | encode JSON TEXT IDS | "
           "encode-each VOCABULARY TEXTS_JSON RESULTS_JSON | words PRETOKENIZER TEXTS_JSON RESULTS_JSON | "
           "convert VOCABULARY JSON | "
           "encode-gpt2 ENCODER_JSON VOCAB_BPE TEXT IDS\n";
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  return run({argv + 1, argv + argc});
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
