package main

import "github.com/Masterminds/semver/v3"

var semverOperations = map[string]operation{
	"semver.parse":   typed(parseVersion),
	"semver.check":   typed(checkConstraint),
	"semver.compare": typed(compareVersions),
}

// parseVersion parses leniently or strictly and returns the parts.
func parseVersion(r struct {
	Text   string
	Strict bool
}) (any, error) {
	parse := semver.NewVersion
	if r.Strict {
		parse = semver.StrictNewVersion
	}
	version, err := parse(r.Text)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"text": version.String(), "original": version.Original(),
		"major": version.Major(), "minor": version.Minor(), "patch": version.Patch(),
		"prerelease": version.Prerelease(), "metadata": version.Metadata(),
	}, nil
}

// checkConstraint returns the constraint's text and, per version, whether it fits and why not.
func checkConstraint(r struct {
	Constraint string
	Versions   []string
}) (any, error) {
	constraint, err := semver.NewConstraint(r.Constraint)
	if err != nil {
		return nil, err
	}
	type result struct {
		OK     bool     `json:"ok"`
		Errors []string `json:"errors"`
	}
	results := make([]result, 0, len(r.Versions))
	for _, text := range r.Versions {
		version, err := semver.NewVersion(text)
		if err != nil {
			return nil, err
		}
		ok, problems := constraint.Validate(version)
		res := result{OK: ok && constraint.Check(version)}
		for _, problem := range problems {
			res.Errors = append(res.Errors, problem.Error())
		}
		results = append(results, res)
	}
	return map[string]any{"text": constraint.String(), "results": results}, nil
}

func compareVersions(r struct{ Left, Right string }) (any, error) {
	left, err := semver.NewVersion(r.Left)
	if err != nil {
		return nil, err
	}
	right, err := semver.NewVersion(r.Right)
	if err != nil {
		return nil, err
	}
	return left.Compare(right), nil
}
