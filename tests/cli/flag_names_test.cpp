// Tests of the names that the programs' messages give to parameters.
#include "cli/flag_names.h"

#include <fmt/format.h>

#include "program.h"

namespace hipgpt {
namespace {

class FlagNamesTest : public CliTest {};

TEST_F(FlagNamesTest, EveryFlagInAMessageIsOneOfAProgram) {
  const std::string help = train_gpt({"--help"}).out + generate({"--help"}).out;
  for (const auto& [parameter, flag] : kFlagNames) {
    const std::string field = fmt::format("{}", parameter);
    EXPECT_NE(help.find(fmt::format(" {} ", flag)), std::string::npos) << flag << " for " << field;
    EXPECT_EQ(field.find('-'), std::string::npos) << field << ": the library knows no flags";
  }
}

}  // namespace
}  // namespace hipgpt
