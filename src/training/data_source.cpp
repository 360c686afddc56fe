#include "training/data_source.h"

#include <fmt/format.h>

#include <map>

#include "data/file_content.h"
#include "data/find_files.h"
#include "error.h"
#include "util/mapped_file.h"
#include "util/number_text.h"

namespace hipgpt {

namespace {

uint32_t bytes_of(const std::string& id_type) {
  if (id_type.empty()) return 0;
  if (id_type == "u16") return 2;
  if (id_type == "u32") return 4;
  throw Error(fmt::format("{} {}: must be u16 or u32", Parameter::kTokens, id_type));
}

/// Returns a warning if a file that is read as ids of this size looks like something else, or "".
std::string warning_about_ids(const std::string& path, FileContent content, uint32_t id_bytes) {
  const bool other_ids = content == (id_bytes == 2 ? FileContent::kU32Ids : FileContent::kU16Ids);
  if (!other_ids && content != FileContent::kText) return "";
  return fmt::format("{}: looks like {}, but is read as the ids of {} {}", path,
                     other_ids ? id_bytes == 2 ? "u32 ids" : "u16 ids" : "text", Parameter::kTokens,
                     id_bytes == 2 ? "u16" : "u32");
}

/// A warning about the first of some files, however many there are.
struct Warning {
  std::string about_first;
  uint64_t files = 0;
};

}  // namespace

DataSource::DataSource(Parameter parameter, const std::vector<std::string>& values,
                       const std::string& id_type, const RunFolder& run_folder, Progress& progress)
    : parameter_(name_of(parameter)), id_bytes_(bytes_of(id_type)) {
  const auto found =
      find_files(parameter_, values, [&](const std::string& path) { return run_folder.is_artifact(path); });
  try {
    survey(found, progress);
  } catch (const Error& error) {
    throw Error(fmt::format("{} {}", parameter_, error.what()));
  }
}

void DataSource::survey(const std::vector<std::string>& found, Progress& progress) {
  std::string text, llmc;  // the first of each kind
  std::map<FileContent, Warning> warnings;
  Warning empty;
  const auto add = [](Warning& warning, const std::string& about) {
    if (++warning.files == 1) warning.about_first = about;
  };
  for (const std::string& path : found) {
    const MappedFile file(path, MappedFile::Access::kRandom);
    const std::string_view bytes = file.text();
    if (bytes.empty()) {
      add(empty, path + ": is empty and skipped");
      continue;
    }
    files_.push_back(path);
    const bool is_llmc = TokenFile::is_llmc(bytes);
    std::string& first = is_llmc ? llmc : text;
    if (first.empty()) first = path;
    if (is_llmc) continue;
    refuse_known_formats(path, bytes);
    const FileContent content = guess_content(bytes);
    const std::string warning =
        id_bytes_ > 0 ? warning_about_ids(path, content, id_bytes_) : warning_about(path, content);
    if (!warning.empty()) add(warnings[content], warning);
  }
  if (files_.empty()) throw Error(fmt::format("{}: is empty; training needs text", found.front()));
  if (id_bytes_ > 0 && !llmc.empty()) {
    throw Error(fmt::format("{}: has the header of llm.c's token files; drop {}", llmc, Parameter::kTokens));
  }
  if (!text.empty() && !llmc.empty()) {
    throw Error(
        fmt::format("{}: is a text, but other files are token files of llm.c; name files of one kind", text));
  }
  if (!text.empty() && id_bytes_ == 0) text_.emplace(files_);
  const auto print = [&](const Warning& warning) {
    if (warning.files == 0) return;
    progress.warn(fmt::format(
        "{} {}{}", parameter_, warning.about_first,
        warning.files == 1 ? "" : fmt::format(" (and {})", counted(warning.files - 1, "more such file"))));
  };
  print(empty);
  for (const auto& [content, warning] : warnings) print(warning);
}

std::string DataSource::name() const {
  if (files_.size() == 1) return files_.front();
  return fmt::format("{} of {}", counted(files_.size(), "file"), parameter_);
}

bool DataSource::needs_end_of_text() {
  if (text_->num_documents() > 1) return true;
  if (!facts_) facts_ = text_->read();
  return facts_->has_end_of_text;
}

uint64_t DataSource::hash(HashCache& hashes) {
  if (hash_) return *hash_;
  if (!is_text()) return *(hash_ = shards(0).sample_hash());
  const FileStamp stamp(files_);
  hash_ = hashes.get(stamp);
  if (!hash_) {
    facts_ = text_->read();
    hash_ = facts_->hash;
    hashes.put(stamp, *hash_);
  }
  return *hash_;
}

TokenShards DataSource::shards(uint64_t vocab_size) const {
  std::vector<TokenFile> files;
  for (const std::string& path : files_)
    files.push_back(id_bytes_ > 0 ? TokenFile::open_headerless(path, id_bytes_, vocab_size)
                                  : TokenFile::open_llmc(path, vocab_size));
  return TokenShards(std::move(files));
}

}  // namespace hipgpt
