/* outliers.h - what was found of outliers, in words.
 * SPDX-License-Identifier: MIT */
#ifndef QUERN_APPS_OUTLIERS_H
#define QUERN_APPS_OUTLIERS_H

#include "engine/quern.h"

/* Lines on stderr about the outliers that the session met: of all inputs, and the worst input of each layer
 * that had some. Nothing if it looks for none. */
void complain_outliers(const struct quern_session *session);

#endif
