#include "op/rules.h"

#include <stddef.h>

static const eh_rule_set sets[] = {
    [EH_RULES_GRADIENT] = {true, true, 1.0f, 1.0f, 1.0f, 1.0f},
    [EH_RULES_ATTNLRP] = {false, false, 0.5f, 0.5f, 0.25f, 0.5f},
    [EH_RULES_CPLRP] = {false, false, 0.0f, 1.0f, 0.0f, 1.0f},
};

const eh_rule_set *eh_rule_set_of(eh_rules rules)
{
    return (int)rules >= 0 && rules < sizeof sets / sizeof *sets ? &sets[rules] : NULL;
}
