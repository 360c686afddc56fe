#include "util/device_file.h"

#include <grp.h>
#include <sys/stat.h>

#include "test_files.h"

namespace hipgpt {
namespace {

TEST_F(FilesTest, ADeviceThatTheUserMayNotOpenNamesItsGroup) {
  const std::string device = path("kfd");
  EXPECT_EQ(why_not_permitted(device), "");
  write_all(device, "");
  EXPECT_EQ(why_not_permitted(device), "");
  ::chmod(device.c_str(), 0);
  ::chmod(folder_.c_str(), 0755);
  const bool is_root = ::geteuid() == 0;
  ASSERT_EQ(is_root ? ::seteuid(65534) : 0, 0);
  const std::string why = why_not_permitted(device);
  ASSERT_EQ(is_root ? ::seteuid(0) : 0, 0);
  struct stat status;
  ASSERT_EQ(::stat(device.c_str(), &status), 0);
  const group* owner = ::getgrgid(status.st_gid);
  const std::string name = owner != nullptr ? owner->gr_name : std::to_string(status.st_gid);
  EXPECT_EQ(why, device + " may be opened by the group " + name + " only; run 'sudo usermod -aG " + name +
                     " $USER' and log in again");
}

}  // namespace
}  // namespace hipgpt
