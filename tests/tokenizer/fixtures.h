// Helpers shared by the tokenizer's tests: the files of fixtures/ and random texts.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer.h"

namespace hipgpt {

std::string fixture_path(const std::string& name);
std::string read_file(const std::string& path);
std::string read_fixture(const std::string& name);
nlohmann::json read_json_fixture(const std::string& name);

/// Draws random pieces that make the pre-tokenizer, UTF-8 decoding and special tokens interact in odd ways.
std::string random_text(std::mt19937& rng, size_t pieces);
std::string random_bytes(std::mt19937& rng, size_t size);

/// The tokenizer that Hugging Face trained on multiscript.txt.
const Tokenizer& multiscript_tokenizer();

std::vector<int32_t> stream(const Tokenizer& tokenizer, std::string_view text, int threads);

uint64_t fnv1a(std::string_view data);

}  // namespace hipgpt
