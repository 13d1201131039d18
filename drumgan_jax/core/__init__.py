"""What everything stands on: errors, atomic files, settings, devices, random keys."""
