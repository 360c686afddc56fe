// The exercise `merges` compares with a list, so that it needs no tokenizer. This test compares the list with
// the tokenizer.
#include "exercises/checks/merges.h"

#include <gtest/gtest.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "tokenizer.h"

namespace hipgpt {
namespace {

TEST(Exercises, MergesAreThoseOfTheTokenizer) {
  Tokenizer::TrainOptions options;
  options.vocab_size = 1000;  // more than there are pairs
  options.special_tokens = {};
  const std::string text = Tokenizer::train(std::string_view(exercise::kMergesText), options).to_json();
  const auto model = nlohmann::json::parse(text)["model"];
  ASSERT_EQ(model["merges"].size(), std::size(exercise::kMerges));
  for (size_t i = 0; i < model["merges"].size(); ++i) {
    const auto id = [&](int side) { return model["vocab"][model["merges"][i][side].get<std::string>()]; };
    EXPECT_EQ(id(0), exercise::kMerges[i].first) << "merge " << i;
    EXPECT_EQ(id(1), exercise::kMerges[i].second) << "merge " << i;
  }
}

}  // namespace
}  // namespace hipgpt
