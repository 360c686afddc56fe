// Reports when a mapped file loses its pages.
#pragma once

#include <cstddef>
#include <string>

namespace hipgpt {

/// If another program shortens a mapped file or its disk fails, touching a lost page raises SIGBUS. After
/// this call, the process then exits with status 1 and prints one line with the program's name and the file
/// on standard error. Any other SIGBUS behaves as before.
void report_mapping_faults(const std::string& program);

/// Called by MappedFile: record that these bytes map this file, until forget_mapping().
void remember_mapping(const void* begin, size_t size, const std::string& path);
void forget_mapping(const void* begin);

}  // namespace hipgpt
