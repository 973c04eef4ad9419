# Flags every target of the project shares, as the interface target imatrix_flags, and the function
# that makes one static library of a room.

add_library(imatrix_flags INTERFACE)
target_include_directories(imatrix_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(imatrix_flags INTERFACE
    _GNU_SOURCE IMX_VERSION="${PROJECT_VERSION}")
# Table rows leave their last fields out: a missing one is zero, hence the one warning less.
# No contraction: a * b + c gives the same bits on every machine and for any vector width.
target_compile_options(imatrix_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wno-missing-field-initializers
    -ffp-contract=off -fno-math-errno)
if(IMATRIX_SANITIZE OR IMATRIX_FUZZ)
    target_compile_options(imatrix_flags INTERFACE
        -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    target_link_options(imatrix_flags INTERFACE -fsanitize=address,undefined)
endif()
if(IMATRIX_FUZZ)
    target_compile_options(imatrix_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
target_link_libraries(imatrix_flags INTERFACE m)

# imatrix_add_room(NAME SOURCES ... LINK ...): the static library imatrix_NAME.
function(imatrix_add_room name)
    cmake_parse_arguments(ROOM "" "" "SOURCES;LINK" ${ARGN})
    add_library(imatrix_${name} STATIC ${ROOM_SOURCES})
    set_target_properties(imatrix_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(imatrix_${name} PUBLIC imatrix_flags ${ROOM_LINK})
endfunction()
