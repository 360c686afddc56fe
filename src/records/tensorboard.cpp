#include "records/tensorboard.h"

#include <utility>
#include <vector>

#include "records/markdown.h"
#include "records/report.h"

namespace hipgpt {

namespace {

constexpr std::pair<const char*, const char*> kScalars[] = {{"loss", "train/loss"},
                                                            {"lr", "train/lr"},
                                                            {"grad_norm", "train/grad_norm"},
                                                            {"tokens_per_s", "train/tokens_per_s"},
                                                            {"val_loss", "val/loss"}};

}  // namespace

void TensorBoard::write(const nlohmann::ordered_json& record) {
  if (record.contains("run"))
    return file_.text(first_step_, "run/settings", description_markdown(nlohmann::json(record["run"])));
  const int64_t step = record.at("step");
  if (record.contains("sample")) {
    const auto text = record.at("prompt").get<std::string>() + record.at("sample").get<std::string>();
    return file_.text(step, "run/sample", markdown::code_block(text));
  }
  std::vector<EventFile::Scalar> scalars;
  for (const auto& [name, tag] : kScalars) {
    if (record.contains(name)) scalars.push_back({tag, record[name]});
  }
  file_.scalars(step, scalars);
}

}  // namespace hipgpt
