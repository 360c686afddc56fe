// A command line for check_against_huggingface.py: trains, and prints the ids of texts.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include "tokenizer.h"
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

int run(const std::vector<std::string>& args) {
  if (args.size() >= 4 && args[0] == "train") {
    const MappedFile file(args[1], MappedFile::Access::kSequential);
    Tokenizer::TrainOptions options;
    options.vocab_size = std::stoi(args[2]);
    options.special_tokens = {args.begin() + 4, args.end()};
    write(args[3], Tokenizer::train(file.text(), options).to_json());
  } else if (args.size() == 4 && args[0] == "encode") {
    encode(Tokenizer::load(args[1]), args[2], args[3]);
  } else if (args.size() == 5 && args[0] == "encode-gpt2") {
    encode(Tokenizer::from_gpt2_files(args[1], args[2]), args[3], args[4]);
  } else {
    std::cerr << "usage: tokenizer_tool train TEXT VOCAB_SIZE JSON [SPECIAL]... | encode JSON TEXT IDS | "
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
