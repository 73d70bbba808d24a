"""What waiting and importing cost, beside what others take for it: see CONTRIBUTING.md."""
